# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=True, show_performance_hints=False
"""The allocation kernel: tiers, admission, weighted max-min filling and increments on flat arrays.

Rules

1. No Python object, no allocation and no exception for a fault of the input inside the tick; a
   status says what is wrong. Nothing from libm but sqrt.
2. Every index is checked, once for each record: what is at hand then is a pointer to that record.
3. The answer depends on the values alone: nodes are numbered by the EVSEs under them, ties are
   broken by EVSE or queue order, and sums are made in one fixed order. From one tick to the next
   nothing is carried but two sort orders, of which there can be only one each (`orders.pxi`).

Theory of operation

A node has four rows: the currents of its three phases and the sum of its phases in VA, which is the
dot product of the phase currents with the node's voltages. Filling raises one level t for a whole
tier. While it rises an EVSE rests at its lower bound (resting), then moves as weight * t (moving),
then stands at its upper bound or where a full row left it (standing). The load of a row is fixed +
moving * t. Three kinds of events happen in order of their level: an EVSE starts to move, an EVSE
reaches its upper bound (two sorted lists), a row is full (a heap with one entry per node). The key
of a heap entry is a lower bound of the level at which a row of its node can be full, and that bound
never falls: exact as long as nobody starts to move before it, else as if all resting weight started
at the next such moment. So an entry is looked at again only when it comes up, and is acted upon
only when its key is exact. A full row stops everybody under its node who loads it. Weights are
counted in whole quanta, so that their sums are exact: what is left of a row after heavy EVSEs have
stopped is right for light ones, and a row that nobody can load any more has a weight of 0.

Line-to-line EVSEs and transformers make some rows curved: their load is the magnitude of a phasor
sum, for the worst of all draws. Those rows are kept apart, in the nodes on the way from such an
EVSE or transformer to the root, and left out of the straight ones; everything else is the same.

An unbalance ceiling is no row that only fills; where the plain filling breaks one, a parametric
simplex method fills that tier instead (`unbalance.pxi`).

Discharge is a second run in the mirror, with export ceilings and the base load's sign turned.

Complexity: O(N d + (N + M) log M) for N EVSEs, M nodes and depth d, for each tier.
"""

cimport cython
from cpython cimport array
from libc.math cimport INFINITY, sqrt
from libc.string cimport memcpy, memset

import array

# Codes of stops; the typed wrapper turns them into reasons.
OWN_MAXIMUM = 0
NODE_CEILING = 1
VA_CEILING = 2
INCREMENT = 3
NOT_ADMITTED = 4
BASE_OVER_CEILING = 5
NO_DEMAND = 6
PRIMARY_CEILING = 7
UNBALANCE = 8

# Answers of `solve` and `verify`.
DONE = 0
BAD_NODE = 1
BAD_EVSE = 2
BAD_QUEUE = 3
ROW_EXCEEDED = 4
SETPOINT_OUTSIDE = 5

MAGNITUDE_MAX = 1e12
WEIGHT_MIN = 1e-6
WEIGHT_MAX = 1e6
STEP_MIN_A = 1e-3
TURNS_MIN = 1e-3
TURNS_MAX = 1e3
# What all transformers on a way may scale a current by.
SCALE_MIN = 1e-6
SCALE_MAX = 1e6

include "records.pxi"


@cython.final
cdef class Kernel:
    """One compiled site with its scratch memory. Not to be used by two threads at once.

    `parent[M]`: index of the parent node or -1, in any order. `evse_node[N]`: index of the EVSE's
    node. `evse_phases[N]`: bit p is set if the EVSE loads phase p + 1. `evse_delta[N]`: not 0 if it
    is between its two phases rather than to neutral. `turns_ratio[M]`: that of the delta-wye
    transformer whose secondary side the node is, primary volts line to line over secondary volts
    line to neutral; 0 for a plain node. `unbalance[M]`: by how much the currents of two phases may
    differ, in A, infinity for none; not beside line-to-line EVSEs or transformers.
    `allowed[allowed_start[n]:allowed_start[n + 1]]`: the currents in A that an EVSE can be told,
    ascending; they stand in place of its step where there are any. Raises ValueError for a topology
    that is no forest, an index that does not exist, an empty set of phases or a list out of order.
    Compiled once in O((N + M) d); then `bind`, then `solve` and `verify` as often as wanted.
    """

    cdef readonly int node_count
    cdef readonly int evse_count
    cdef readonly int bad_index
    cdef tuple memory
    cdef bint bound

    # The caller's arrays, in the caller's order.
    cdef const double[::1] ceiling
    cdef const double[::1] base
    cdef const double[::1] primary_ceiling
    cdef const double[::1] export_ceiling
    cdef const double[::1] voltage
    cdef const double[::1] weight
    cdef const int[::1] tier
    cdef const double[::1] minimum
    cdef const double[::1] maximum
    cdef const double[::1] discharge_min
    cdef const double[::1] discharge_max
    cdef const double[::1] step
    cdef const double[::1] pause
    cdef const int[::1] order
    cdef double[::1] setpoint
    cdef int[::1] admitted
    cdef int[::1] code
    cdef int[::1] stop_node
    cdef int[::1] stop_row
    cdef double[::1] deficit
    cdef double[::1] primary_deficit
    cdef double[::1] export_deficit

    # The caller's topology, for the check afterwards.
    cdef int[::1] outer_parent
    cdef int[::1] leaves_first
    cdef int[::1] outer_evse_node
    cdef int[::1] outer_evse_phases
    cdef int[::1] outer_evse_delta
    cdef double[::1] turns
    cdef int transformer_count
    cdef bint any_delta
    # The nodes with the primary sides of transformers as nodes of their own.
    cdef int[::1] full_parent
    cdef int[::1] side_of
    cdef int[::1] allowed_start
    cdef double[::1] allowed
    cdef double[::1] work

    # Nodes without EVSEs under them do not take part and have no inner number.
    cdef int live_count
    cdef Node[::1] nodes
    cdef Place[::1] places
    cdef Fill[::1] fills
    cdef Evse[::1] evses
    cdef Increments[::1] increments
    cdef int[::1] evse_inner

    # EVSEs by tier: in queue order and in inner order.
    cdef int tier_count
    cdef int[::1] tier_start
    cdef int[::1] tier_fill
    cdef int[::1] queue
    cdef int[::1] roster
    cdef int[::1] seen

    # The orders of starts and upper bounds with their levels by EVSE, kept between ticks: those of
    # charging, then from evse_count on those of discharge; `orders_first` is where the present
    # direction's begin.
    cdef Event[::1] starts_kept
    cdef Event[::1] caps_kept
    cdef double[::1] start_levels
    cdef double[::1] cap_levels
    cdef int orders_first

    # Events of the filling by tier, and the heap with one entry per node.
    cdef Event[::1] starts
    cdef Event[::1] caps
    cdef Event[::1] heap
    cdef int heap_count
    cdef double next_start
    cdef double key
    cdef int key_row
    cdef int key_corner
    cdef bint key_exact
    cdef Change change

    # Amperes per level of one quantum of weight: a power of two.
    cdef double quantum
    # The heaviest weight that the quantum is for, and how many of about that weight still rise.
    cdef double heaviest
    cdef int heavy_left
    cdef bint uneven

    # Curved rows, and the most that transformers scale a current up.
    cdef int curved_count
    cdef Curved[::1] curves
    cdef Reach[::1] entries
    cdef double scale_max

    # Unbalance ceilings, by the caller's nodes and as compiled, and the simplex method's memory.
    cdef double[::1] unbalance
    cdef int unbalance_count
    cdef Unbalance[::1] unbalances
    cdef Simplex simplex
    cdef int[::1] standing
    cdef double[::1] sums
    cdef double[::1] rates
    cdef double[::1] weighs
    cdef double[::1] basic_start
    cdef double[::1] basic_rate
    cdef double[::1] full_level
    cdef int[::1] full_row
    cdef int[::1] row_standing
    cdef int[::1] tight
    cdef int[::1] locked
    cdef int[::1] basics
    cdef double[::1] left
    cdef double[::1] falling
    cdef double[::1] weights_of
    cdef double[::1] matrix
    cdef double[::1] inverse
    cdef bint discharging

    cdef int[::1] candidates
    cdef Event[::1] remainders
    cdef Event[::1] spare
    cdef int[::1] histogram

    def __init__(
        self,
        const int[::1] parent not None,
        const double[::1] turns_ratio not None,
        const double[::1] unbalance not None,
        const int[::1] evse_node not None,
        const int[::1] evse_phases not None,
        const int[::1] evse_delta not None,
        const int[::1] allowed_start not None,
        const double[::1] allowed not None,
    ):
        if (
            evse_phases.shape[0] != evse_node.shape[0]
            or evse_delta.shape[0] != evse_node.shape[0]
            or allowed_start.shape[0] != evse_node.shape[0] + 1
        ):
            raise ValueError("the arrays of the EVSEs differ in length")
        if (
            turns_ratio.shape[0] != parent.shape[0]
            or unbalance.shape[0] != parent.shape[0]
        ):
            raise ValueError("the arrays of the nodes differ in length")
        self.node_count = <int>parent.shape[0]
        self.evse_count = <int>evse_node.shape[0]
        self.bad_index = -1
        self.transformer_count = 0
        self.any_delta = False
        _copy_topology(self, parent, turns_ratio, evse_node, evse_phases, evse_delta)
        _copy_lists(self, allowed_start, allowed)
        _order_leaves_first(self)
        _reserve(self)
        _part_transformers(self)
        _number(self)
        _find_curved(self)
        self.unbalance_count = 0
        _find_unbalance(self, unbalance)

    def bind(
        self,
        *,
        const double[::1] ceiling not None,
        const double[::1] base not None,
        const double[::1] primary_ceiling not None,
        const double[::1] export_ceiling not None,
        const double[::1] voltage not None,
        const double[::1] weight not None,
        const int[::1] tier not None,
        const double[::1] minimum not None,
        const double[::1] maximum not None,
        const double[::1] discharge_min not None,
        const double[::1] discharge_max not None,
        const double[::1] step not None,
        const double[::1] pause not None,
        const int[::1] order not None,
        double[::1] setpoint not None,
        int[::1] admitted not None,
        int[::1] code not None,
        int[::1] stop_node not None,
        int[::1] stop_row not None,
        double[::1] deficit not None,
        double[::1] primary_deficit not None,
        double[::1] export_deficit not None,
    ):
        """Take the caller's arrays; ValueError if one has the wrong length. None is copied.

        In, for M nodes: `ceiling[4M]` and `base[4M]` hold L1, L2, L3 in A and the sum in VA,
        cumulative, a ceiling of infinity is none; `primary_ceiling[3M]` in A, heard at
        transformers; `export_ceiling[4M]` like `ceiling`, for what is fed back; `voltage[3M]` in V.
        In, for N EVSEs: `weight`; `tier`, counted from 0 without gaps, the highest first;
        `minimum`, `maximum`, `pause` and `step` (0 continuous) in A; with `discharge_max` > 0 it
        discharges between `discharge_min` and that, in A, and does not charge; `order`, the queue,
        holds every EVSE once.

        Out: `setpoint[N]` in A, negative for discharge; `admitted[N]`; `code[N]`; `stop_node[N]`
        and `stop_row[N]` (-1: none; row 3 is VA, 4 to 6 the primary lines of a transformer,
        7 to 9 the greater phase of an unbalance);
        `deficit[4M]`, `primary_deficit[3M]`, `export_deficit[4M]`: by how much base load alone is
        above a ceiling.
        """
        cdef Py_ssize_t m = self.node_count, n = self.evse_count
        self.bound = False
        for name, length, wanted in (
            ("ceiling", ceiling.shape[0], 4 * m),
            ("base", base.shape[0], 4 * m),
            ("primary_ceiling", primary_ceiling.shape[0], 3 * m),
            ("export_ceiling", export_ceiling.shape[0], 4 * m),
            ("voltage", voltage.shape[0], 3 * m),
            ("weight", weight.shape[0], n),
            ("tier", tier.shape[0], n),
            ("minimum", minimum.shape[0], n),
            ("maximum", maximum.shape[0], n),
            ("discharge_min", discharge_min.shape[0], n),
            ("discharge_max", discharge_max.shape[0], n),
            ("step", step.shape[0], n),
            ("pause", pause.shape[0], n),
            ("order", order.shape[0], n),
            ("setpoint", setpoint.shape[0], n),
            ("admitted", admitted.shape[0], n),
            ("code", code.shape[0], n),
            ("stop_node", stop_node.shape[0], n),
            ("stop_row", stop_row.shape[0], n),
            ("deficit", deficit.shape[0], 4 * m),
            ("primary_deficit", primary_deficit.shape[0], 3 * m),
            ("export_deficit", export_deficit.shape[0], 4 * m),
        ):
            if length != wanted:
                raise ValueError(f"{name} has {length} places where {wanted} are needed")
        self.ceiling = ceiling
        self.base = base
        self.primary_ceiling = primary_ceiling
        self.export_ceiling = export_ceiling
        self.voltage = voltage
        self.weight = weight
        self.tier = tier
        self.minimum = minimum
        self.maximum = maximum
        self.discharge_min = discharge_min
        self.discharge_max = discharge_max
        self.step = step
        self.pause = pause
        self.order = order
        self.setpoint = setpoint
        self.admitted = admitted
        self.code = code
        self.stop_node = stop_node
        self.stop_row = stop_row
        self.deficit = deficit
        self.primary_deficit = primary_deficit
        self.export_deficit = export_deficit
        self.bound = True

    def solve(self):
        """Solve what the bound arrays hold: `DONE`, or what is wrong, with the outputs left alone.

        `BAD_NODE`, `BAD_EVSE`, `BAD_QUEUE`: `bad_index` names the first one. ValueError if no
        arrays are bound. The GIL is released; nothing is allocated.

        O(N d + (N + M) log M) for each tier, with depth d. Shares are exact to the rounding of
        doubles, also with weights that are far apart.
        """
        cdef int status
        if not self.bound:
            raise ValueError("no arrays are bound")
        with nogil:
            status = _check_nodes(self)
            if status == S_DONE:
                status = _check_discharge(self)
            if status == S_DONE:
                status = _solve(self, False)
            if status == S_DONE and self.discharging:
                status = _solve(self, True)
        return status

    def verify(self):
        """Check the bound outputs against the bound inputs: `DONE`, or what does not hold.

        `ROW_EXCEEDED`: a row is above its headroom although somebody who loads it was admitted.
        `SETPOINT_OUTSIDE`: an EVSE has neither an allowed current nor its pause value. `bad_index`
        names the node or EVSE. ValueError if no arrays are bound. O(N + M).
        """
        cdef int status
        if not self.bound:
            raise ValueError("no arrays are bound")
        with nogil:
            status = _verify_setpoints(self)
            if status == S_DONE:
                status = _verify_rows(self, False)
            if status == S_DONE and self.discharging:
                status = _verify_rows(self, True)
        return status


include "topology.pxi"
include "intake.pxi"
include "rows.pxi"
include "sorting.pxi"
include "orders.pxi"
include "admission.pxi"
include "filling.pxi"
include "phasors.pxi"
include "curved.pxi"
include "curved_filling.pxi"
include "unbalance.pxi"
include "simplex.pxi"
include "simplex_lines.pxi"
include "increments.pxi"
include "giving.pxi"
include "check.pxi"
