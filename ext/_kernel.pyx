# cython: language_level=3, boundscheck=True, wraparound=False, initializedcheck=False
# cython: cdivision=True, embedsignature=True, show_performance_hints=False
"""The allocation kernel: tiers, admission, weighted max-min filling and increments on flat arrays.

Rules

1. No Python object, no allocation and no exception for a fault of the input inside the tick; a
   status says what is wrong. Nothing from libm.
2. Every index is checked, once for each record: what is at hand then is a pointer to that record.
3. The answer depends on the values alone: nodes are numbered by the EVSEs under them, ties are
   broken by EVSE or queue order, sums are made in one fixed order, and nothing is carried from one
   tick to the next.

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

Complexity: O(N d + (N + M) log M) for N EVSEs, M nodes and depth d, for each tier.
"""

cimport cython
from cpython cimport array
from libc.math cimport INFINITY
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

cdef enum:
    C_OWN_MAXIMUM = 0
    C_NODE_CEILING = 1
    C_VA_CEILING = 2
    C_INCREMENT = 3
    C_NOT_ADMITTED = 4
    C_BASE_OVER_CEILING = 5
    C_NO_DEMAND = 6

cdef enum:
    S_DONE = 0
    S_BAD_NODE = 1
    S_BAD_EVSE = 2
    S_BAD_QUEUE = 3
    S_ROW_EXCEEDED = 4
    S_SETPOINT_OUTSIDE = 5

# What an EVSE is doing during the filling of its tier.
cdef enum:
    STANDING = 0
    RESTING = 1
    MOVING = 2

cdef enum:
    CONTINUOUS = 0
    STEPPED = 1
    LISTED = 2

# Arrays over phases have a fourth place that stays 0: the compiler takes them two by two.
cdef struct Node:
    # Topology: EVSEs first to last - 1 are under the node.
    int parent
    int outer
    int first
    int last
    # Bits of the rows that base load alone exceeds.
    int deficit_rows
    double[4] load
    # Headroom of the four rows, and the same with what rounding may add.
    double[4] headroom
    double[4] bound
    double[4] voltage

# What the filling knows of a node: the load of phase p at level t is fixed[p] + moving[p] * t, with
# weights in quanta. `most` is the most that can be drawn here.
cdef struct Fill:
    double[4] fixed
    long long[4] moving
    long long[4] resting
    double[4] most
    # Bits of the rows that can still become full.
    int rows

cdef struct Evse:
    double weight
    long long quanta
    double lower
    double upper
    double value
    double filled
    int node
    int phases
    int doing
    int admitted
    int outer
    # The row that stopped it; -1: none.
    int stop_node
    int stop_row
    int code

# The allowed set of an EVSE; `count` is where it stands in it.
cdef struct Increments:
    long long count
    long long least
    long long greatest
    double step
    double per_ampere
    # What the next increment adds, and what rounding down took.
    double rise
    double lost
    double pause
    int kind
    int list_start
    int tier
    int code_at_top
    # 4 * node + row of the row that had no room for one increment more.
    int refuser

cdef struct Event:
    double level
    int index

# What is to be added along a path.
cdef struct Change:
    double[4] fixed
    long long[4] moving
    long long[4] resting

cdef double C_MAGNITUDE_MAX = MAGNITUDE_MAX
cdef double C_WEIGHT_MIN = WEIGHT_MIN
cdef double C_WEIGHT_MAX = WEIGHT_MAX
cdef double C_STEP_MIN_A = STEP_MIN_A
# Two currents closer than this are the same current: decimal fractions are not exact in binary.
cdef double SAME_A = 1e-9
# What a row may be exceeded by, absolute and relative, for the same reason.
cdef double ROW_SLACK = 5e-10
cdef double ROW_SLACK_RELATIVE = 1e-12
# The check afterwards only has to tell a fault from rounding.
cdef double VERIFY_SLACK = 1e-6
cdef double VERIFY_SLACK_RELATIVE = 1e-9
# Up to so many entries insertion sorts faster than radix.
cdef int SMALL_SORT = 96

# 1.0 where the bits of a set of phases are set.
cdef double[8][4] LOADS
cdef int PHASES, LANE
for PHASES in range(8):
    for LANE in range(4):
        LOADS[PHASES][LANE] = 1.0 if PHASES & (1 << LANE) and LANE < 3 else 0.0

cdef array.array BYTES = array.array("b")
cdef array.array INTS = array.array("i")


cdef array.array _bytes(Py_ssize_t count):
    return array.clone(BYTES, count, zero=True)


cdef int[::1] _ints(Py_ssize_t count):
    return array.clone(INTS, count, zero=True)


cdef inline bint _finite(double value) noexcept nogil:
    """Whether `value` is a number within the magnitude that the kernel takes."""
    return -C_MAGNITUDE_MAX <= value <= C_MAGNITUDE_MAX


cdef inline unsigned long long _bits(double value) noexcept nogil:
    """The bits of a double that is not negative: they sort as the doubles do."""
    cdef unsigned long long bits
    memcpy(&bits, &value, 8)
    return bits


cdef inline bint _comes_first(Event* a, Event* b) noexcept nogil:
    """Of equal levels the deeper node comes first: it is the nearest reason."""
    return a.level < b.level or (a.level == b.level and a.index > b.index)


cdef inline int _refusing_rows(Node* node, int phases, double more) noexcept nogil:
    """The rows of a node, as bits, that would be exceeded by `more` A on `phases`."""
    cdef double* loads = LOADS[phases]
    cdef double first = node.load[0] + more * loads[0]
    cdef double second = node.load[1] + more * loads[1]
    cdef double third = node.load[2] + more * loads[2]
    cdef double va = (
        node.voltage[0] * first + node.voltage[1] * second + node.voltage[2] * third
    )
    cdef int rows = (
        <int>(first > node.bound[0])
        | <int>(second > node.bound[1]) << 1
        | <int>(third > node.bound[2]) << 2
    ) & phases
    return rows | <int>(va > node.bound[3]) << 3


cdef inline void _note(
    Change* change, int phases, double fixed, long long moving, long long resting
) noexcept nogil:
    """Note what an EVSE changes on its phases."""
    cdef int p
    cdef double* loads = LOADS[phases]
    for p in range(4):
        change.fixed[p] += fixed * loads[p]
        change.moving[p] += moving & -<long long>(phases >> p & 1)
        change.resting[p] += resting & -<long long>(phases >> p & 1)


cdef inline void _stop(Evse* evse, Change* change, double value) noexcept nogil:
    """Let an EVSE stand at `value` and note what that changes above it."""
    if evse.doing == MOVING:
        _note(change, evse.phases, value, -evse.quanta, 0)
    else:
        _note(change, evse.phases, value - evse.lower, 0, -evse.quanta)
    evse.doing = STANDING
    evse.filled = value


cdef inline double _decimal(Increments* own) noexcept nogil:
    """The current of a number of steps; ten steps to the ampere give 0.3 and not 3 * 0.1."""
    cdef double whole = <double><long long>(own.per_ampere + 0.5)
    if whole > 0.0 and -1e-12 <= whole * own.step - 1.0 <= 1e-12:
        return <double>own.count / whole
    return <double>own.count * own.step


cdef inline bint _exceeds(double load, double room) noexcept nogil:
    return load > room + (VERIFY_SLACK + VERIFY_SLACK_RELATIVE * room)


cdef inline int _lowest(int rows) noexcept nogil:
    """The lowest bit that is set in `rows`, which is not 0."""
    cdef int row = 0
    while not rows & (1 << row):
        row += 1
    return row


@cython.final
cdef class Kernel:
    """One compiled topology with its scratch memory. Not to be used by two threads at once.

    `parent[m]`: index of the parent node or -1, in any order. `evse_node[n]`: index of the EVSE's
    node. `evse_phases[n]`: bit p is set if the EVSE loads phase p + 1. Raises ValueError for a
    topology that is no forest, an index that does not exist or an empty set of phases.
    """

    cdef readonly int node_count
    cdef readonly int evse_count
    cdef readonly int bad_index
    cdef tuple memory

    # The caller's topology, for the check afterwards.
    cdef int[::1] outer_parent
    cdef int[::1] leaves_first
    cdef int[::1] outer_evse_node
    cdef int[::1] outer_evse_phases

    # Nodes without EVSEs under them do not take part and have no inner number.
    cdef int live_count
    cdef Node[::1] nodes
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

    # Events of the filling, and the heap with one entry per node.
    cdef Event[::1] starts
    cdef Event[::1] caps
    cdef Event[::1] heap
    cdef int start_count
    cdef int cap_count
    cdef int heap_count
    cdef double next_start
    cdef double key
    cdef int key_row
    cdef bint key_exact
    cdef Change change

    # Amperes per level of one quantum of weight: a power of two.
    cdef double quantum

    cdef int[::1] candidates
    cdef Event[::1] spare
    cdef int[::1] histogram

    def __init__(
        self,
        const int[::1] parent not None,
        const int[::1] evse_node not None,
        const int[::1] evse_phases not None,
    ):
        if evse_phases.shape[0] != evse_node.shape[0]:
            raise ValueError("evse_node and evse_phases differ in length")
        self.node_count = <int>parent.shape[0]
        self.evse_count = <int>evse_node.shape[0]
        self.bad_index = -1
        self._copy_topology(parent, evse_node, evse_phases)
        self._order_leaves_first()
        self._reserve()
        self._number()

    cdef int _reserve(self) except -1:
        # A view needs at least one record, which nobody looks at when there are no nodes or EVSEs.
        cdef Py_ssize_t m = max(1, self.node_count), n = max(1, self.evse_count)
        cdef array.array nodes = _bytes(m * sizeof(Node))
        cdef array.array fills = _bytes(m * sizeof(Fill))
        cdef array.array heap = _bytes(m * sizeof(Event))
        cdef array.array evses = _bytes(n * sizeof(Evse))
        cdef array.array increments = _bytes(n * sizeof(Increments))
        cdef array.array starts = _bytes(n * sizeof(Event))
        cdef array.array caps = _bytes(n * sizeof(Event))
        cdef array.array spare = _bytes(n * sizeof(Event))
        self.memory = (nodes, fills, heap, evses, increments, starts, caps, spare)
        self.nodes = <Node[:m]><Node*>nodes.data.as_chars
        self.fills = <Fill[:m]><Fill*>fills.data.as_chars
        self.heap = <Event[:m]><Event*>heap.data.as_chars
        self.evses = <Evse[:n]><Evse*>evses.data.as_chars
        self.increments = <Increments[:n]><Increments*>increments.data.as_chars
        self.starts = <Event[:n]><Event*>starts.data.as_chars
        self.caps = <Event[:n]><Event*>caps.data.as_chars
        self.spare = <Event[:n]><Event*>spare.data.as_chars
        self.evse_inner = _ints(n)
        self.tier_start = _ints(n + 1)
        self.tier_fill = _ints(n)
        self.queue = _ints(n)
        self.roster = _ints(n)
        self.seen = _ints(n)
        self.candidates = _ints(n)
        self.histogram = _ints(6 * 2048)
        return 0

    cdef int _copy_topology(
        self, const int[::1] parent, const int[::1] evse_node, const int[::1] evse_phases
    ) except -1:
        cdef int i
        self.outer_parent = _ints(self.node_count)
        self.outer_evse_node = _ints(self.evse_count)
        self.outer_evse_phases = _ints(self.evse_count)
        for i in range(self.node_count):
            if not -1 <= parent[i] < self.node_count:
                raise ValueError(f"node {i} has parent {parent[i]}, which does not exist")
            self.outer_parent[i] = parent[i]
        for i in range(self.evse_count):
            if not 0 <= evse_node[i] < self.node_count:
                raise ValueError(f"EVSE {i} hangs on node {evse_node[i]}, which does not exist")
            if not 1 <= evse_phases[i] <= 7:
                raise ValueError(f"EVSE {i} loads no phase or one that does not exist")
            self.outer_evse_node[i] = evse_node[i]
            self.outer_evse_phases[i] = evse_phases[i]
        return 0

    cdef int _order_leaves_first(self) except -1:
        """Fill `leaves_first`: every node before its parent. A cycle never runs out of children."""
        cdef int[::1] children = _ints(self.node_count)
        cdef int i, up, head = 0, tail = 0
        self.leaves_first = _ints(self.node_count)
        for i in range(self.node_count):
            if self.outer_parent[i] >= 0:
                children[self.outer_parent[i]] += 1
        for i in range(self.node_count):
            if children[i] == 0:
                self.leaves_first[tail] = i
                tail += 1
        while head < tail:
            up = self.outer_parent[self.leaves_first[head]]
            head += 1
            if up >= 0:
                children[up] -= 1
                if children[up] == 0:
                    self.leaves_first[tail] = up
                    tail += 1
        if tail != self.node_count:
            raise ValueError("the nodes' parents form a cycle")
        return 0

    cdef int _number(self) except -1:
        """Give inner numbers in preorder, siblings in the order of the first EVSE under them.

        So the EVSEs under a node are a range, parents come before children, and the numbers do not
        depend on the order in which the caller lists the nodes.
        """
        cdef int m = self.node_count, n = self.evse_count
        cdef int[::1] first_child = _ints(m)
        cdef int[::1] last_child = _ints(m)
        cdef int[::1] sibling = _ints(m)
        cdef int[::1] first_evse = _ints(m)
        cdef int[::1] last_evse = _ints(m)
        cdef int[::1] next_evse = _ints(n)
        cdef int[::1] known = _ints(m)
        cdef int[::1] inner = _ints(m)
        cdef int i, node, up, root_first = -1, root_last = -1, number = 0, placed = 0
        for i in range(m):
            first_child[i] = last_child[i] = sibling[i] = first_evse[i] = last_evse[i] = -1
        for i in range(n):
            next_evse[i] = -1
            node = self.outer_evse_node[i]
            if first_evse[node] < 0:
                first_evse[node] = i
            else:
                next_evse[last_evse[node]] = i
            last_evse[node] = i
            while node >= 0 and not known[node]:
                known[node] = 1
                up = self.outer_parent[node]
                if up >= 0:
                    if first_child[up] < 0:
                        first_child[up] = node
                    else:
                        sibling[last_child[up]] = node
                    last_child[up] = node
                else:
                    if root_first < 0:
                        root_first = node
                    else:
                        sibling[root_last] = node
                    root_last = node
                node = up
        node = root_first
        while node >= 0:
            up = self.outer_parent[node]
            inner[node] = number
            self.nodes[number].outer = node
            self.nodes[number].parent = inner[up] if up >= 0 else -1
            self.nodes[number].first = placed
            i = first_evse[node]
            while i >= 0:
                self.evse_inner[i] = placed
                self.evses[placed].outer = i
                self.evses[placed].node = number
                self.evses[placed].phases = self.outer_evse_phases[i]
                placed += 1
                i = next_evse[i]
            number += 1
            if first_child[node] >= 0:
                node = first_child[node]
                continue
            while node >= 0:
                self.nodes[inner[node]].last = placed
                if sibling[node] >= 0:
                    node = sibling[node]
                    break
                node = self.outer_parent[node]
        self.live_count = number
        return 0

    def solve(
        self,
        const double[::1] ceiling not None,
        const double[::1] base not None,
        const double[::1] voltage not None,
        const double[::1] weight not None,
        const int[::1] tier not None,
        const double[::1] minimum not None,
        const double[::1] maximum not None,
        const double[::1] step not None,
        const double[::1] pause not None,
        const int[::1] allowed_start not None,
        const double[::1] allowed not None,
        const int[::1] queue not None,
        double[::1] setpoint not None,
        int[::1] admitted not None,
        int[::1] code not None,
        int[::1] stop_node not None,
        int[::1] stop_row not None,
        double[::1] deficit not None,
    ):
        """Solve one problem and return `DONE`, or say what is wrong and leave the outputs alone.

        For M nodes and N EVSEs in the caller's order: `ceiling[4M]` and `base[4M]` hold L1, L2, L3
        in A and the sum in VA, cumulative, a ceiling of infinity is none; `voltage[3M]` in V. Per
        EVSE, in A: `minimum`, `maximum`, `pause`, `step` (0 continuous);
        `allowed[allowed_start[n]:allowed_start[n + 1]]` ascending, stands in place of the step
        where it is not empty. `tier` counts from 0 without gaps, the highest first. `queue` holds
        every EVSE once.

        Out: `setpoint[N]` in A, `admitted[N]`, `code[N]`, `stop_node[N]` and `stop_row[N]` (-1:
        none; row 3 is VA), `deficit[4M]`. `BAD_NODE`, `BAD_EVSE`, `BAD_QUEUE`: `bad_index` names
        the first one.

        Shares are exact to the rounding of doubles, but for weights that are more than 1e8 / N
        times lighter than the heaviest: those are counted to N / 1e18 of the heaviest.
        """
        cdef int status
        self._check_shapes(
            ceiling.shape[0], base.shape[0], deficit.shape[0], 4 * <Py_ssize_t>self.node_count
        )
        self._check_shapes(
            voltage.shape[0], voltage.shape[0], voltage.shape[0], 3 * <Py_ssize_t>self.node_count
        )
        self._check_shapes(weight.shape[0], tier.shape[0], minimum.shape[0], self.evse_count)
        self._check_shapes(maximum.shape[0], step.shape[0], pause.shape[0], self.evse_count)
        self._check_shapes(
            queue.shape[0], setpoint.shape[0], allowed_start.shape[0] - 1, self.evse_count
        )
        self._check_shapes(
            admitted.shape[0], code.shape[0], code.shape[0], self.evse_count
        )
        self._check_shapes(
            code.shape[0], stop_node.shape[0], stop_row.shape[0], self.evse_count
        )
        with nogil:
            status = self._take_nodes(ceiling, base, voltage)
            if status == S_DONE:
                status = self._take_evses(
                    weight, tier, minimum, maximum, step, pause, allowed_start, allowed
                )
            if status == S_DONE:
                status = self._take_queue(queue)
            if status == S_DONE:
                self._allocate(allowed)
                self._give(
                    ceiling, base, setpoint, admitted, code, stop_node, stop_row, deficit
                )
        return status

    cdef int _check_shapes(
        self, Py_ssize_t a, Py_ssize_t b, Py_ssize_t c, Py_ssize_t wanted
    ) except -1:
        if a != wanted or b != wanted or c != wanted:
            raise ValueError(f"array lengths {a}, {b}, {c} where {wanted} was expected")
        return 0

    # ---- taking the input ------------------------------------------------------------------------

    cdef int _take_nodes(
        self, const double[::1] ceiling, const double[::1] base, const double[::1] voltage
    ) except -1 nogil:
        cdef int i, p, outer
        cdef double limit, room
        cdef Node* node
        for i in range(self.node_count):
            self.bad_index = i
            for p in range(4):
                limit = ceiling[4 * i + p]
                if not (_finite(limit) or limit == INFINITY) or not _finite(base[4 * i + p]):
                    return S_BAD_NODE
            for p in range(3):
                if not 0.0 <= voltage[3 * i + p] <= C_MAGNITUDE_MAX:
                    return S_BAD_NODE
        for i in range(self.live_count):
            node = &self.nodes[i]
            outer = node.outer
            node.deficit_rows = 0
            for p in range(4):
                room = ceiling[4 * outer + p] - base[4 * outer + p]
                if room < 0.0:
                    node.deficit_rows |= 1 << p
                    room = 0.0
                node.headroom[p] = room
                node.bound[p] = room + (ROW_SLACK + ROW_SLACK_RELATIVE * room)
            for p in range(3):
                node.voltage[p] = voltage[3 * outer + p]
        return S_DONE

    cdef int _take_evses(
        self,
        const double[::1] weight,
        const int[::1] tier,
        const double[::1] minimum,
        const double[::1] maximum,
        const double[::1] step,
        const double[::1] pause,
        const int[::1] allowed_start,
        const double[::1] allowed,
    ) except -1 nogil:
        cdef int i, k, outer, begin, end
        cdef double low, high, heaviest = 0.0
        cdef Evse* evse
        cdef Increments* own
        self.tier_count = 0
        for i in range(self.evse_count):
            evse = &self.evses[i]
            own = &self.increments[i]
            outer = evse.outer
            self.bad_index = outer
            low = minimum[outer]
            high = maximum[outer]
            begin = allowed_start[outer]
            end = allowed_start[outer + 1]
            evse.weight = weight[outer]
            own.pause = pause[outer]
            evse.value = own.pause
            own.step = step[outer]
            own.tier = tier[outer]
            own.list_start = begin
            own.code_at_top = C_OWN_MAXIMUM if high > 0.0 else C_NO_DEMAND
            if (
                not C_WEIGHT_MIN <= evse.weight <= C_WEIGHT_MAX
                or not 0 <= own.tier < self.evse_count
                or not 0.0 <= low <= C_MAGNITUDE_MAX
                or not 0.0 <= high <= C_MAGNITUDE_MAX
                or not 0.0 <= own.pause <= C_MAGNITUDE_MAX
                or not (own.step == 0.0 or C_STEP_MIN_A <= own.step <= C_MAGNITUDE_MAX)
                or not 0 <= begin <= end <= allowed.shape[0]
            ):
                return S_BAD_EVSE
            for k in range(begin, end):
                if not 0.0 <= allowed[k] <= C_MAGNITUDE_MAX or (
                    k > begin and allowed[k] <= allowed[k - 1]
                ):
                    return S_BAD_EVSE
            heaviest = max(heaviest, evse.weight)
            self.tier_count = max(self.tier_count, own.tier + 1)
            evse.admitted = 0
            evse.doing = STANDING
            evse.code = own.code_at_top
            evse.stop_node = -1
            evse.stop_row = -1
            if end > begin:
                own.kind = LISTED
                self._bound_by_list(i, low, high, end - begin, allowed)
            elif own.step > 0.0:
                own.kind = STEPPED
                self._bound_by_step(i, low, high)
            else:
                own.kind = CONTINUOUS
                own.least = 0
                own.greatest = 0 if low <= high else -1
                evse.lower = low
                evse.upper = high
            if own.least > own.greatest and evse.code != C_NO_DEMAND:
                evse.code = C_NOT_ADMITTED
        self._count_weights(heaviest)
        return S_DONE

    cdef int _count_weights(self, double heaviest) except -1 nogil:
        """Set the quantum, so fine that the sum of all weights just fits, and count in it."""
        cdef int i
        cdef double finer = 1.0
        cdef Evse* evse
        while heaviest * self.evse_count * finer > 2e18:
            finer *= 0.5
        while 0.0 < heaviest * self.evse_count * finer <= 1e18:
            finer *= 2.0
        self.quantum = 1.0 / finer
        for i in range(self.evse_count):
            evse = &self.evses[i]
            evse.quanta = <long long>(evse.weight * finer)
            evse.weight = <double>evse.quanta * self.quantum
        return 0

    cdef int _bound_by_list(
        self, int i, double low, double high, int length, const double[::1] allowed
    ) except -1 nogil:
        cdef Increments* own = &self.increments[i]
        cdef int begin = own.list_start, bottom = 0, top = length - 1
        while bottom < length and allowed[begin + bottom] < low - SAME_A:
            bottom += 1
        while top >= 0 and allowed[begin + top] > high + SAME_A:
            top -= 1
        own.least = bottom
        own.greatest = top
        if bottom <= top:
            self.evses[i].lower = allowed[begin + bottom]
            self.evses[i].upper = allowed[begin + top]
        return 0

    cdef int _bound_by_step(self, int i, double low, double high) except -1 nogil:
        cdef Increments* own = &self.increments[i]
        own.per_ampere = 1.0 / own.step
        own.least = <long long>((low - SAME_A) * own.per_ampere)
        if <double>own.least * own.step < low - SAME_A:
            own.least += 1
        own.greatest = <long long>((high + SAME_A) * own.per_ampere)
        self.evses[i].lower = <double>own.least * own.step
        self.evses[i].upper = <double>own.greatest * own.step
        own.rise = own.step
        return 0

    cdef int _take_queue(self, const int[::1] queue) except -1 nogil:
        """Check that `queue` is a permutation; sort it by tier, and all EVSEs into `roster`."""
        cdef int n = self.evse_count, i, k, tier
        memset(&self.seen[0], 0, n * sizeof(int))
        memset(&self.tier_start[0], 0, (n + 1) * sizeof(int))
        for k in range(n):
            i = queue[k]
            self.bad_index = k
            if not 0 <= i < n or self.seen[i]:
                return S_BAD_QUEUE
            self.seen[i] = 1
        if self.tier_count == 1:
            for k in range(n):
                self.queue[k] = self.evse_inner[queue[k]]
                self.roster[k] = k
            self.tier_start[1] = n
            return S_DONE
        for i in range(n):
            self.tier_start[self.increments[i].tier + 1] += 1
        for tier in range(self.tier_count):
            self.tier_start[tier + 1] += self.tier_start[tier]
            self.tier_fill[tier] = self.tier_start[tier]
        for k in range(n):
            i = self.evse_inner[queue[k]]
            tier = self.increments[i].tier
            self.queue[self.tier_fill[tier]] = i
            self.tier_fill[tier] += 1
        for tier in range(self.tier_count):
            self.tier_fill[tier] = self.tier_start[tier]
        for i in range(n):
            tier = self.increments[i].tier
            self.roster[self.tier_fill[tier]] = i
            self.tier_fill[tier] += 1
        return S_DONE

    # ---- tiers -----------------------------------------------------------------------------------

    cdef int _allocate(self, const double[::1] allowed) except -1 nogil:
        cdef int tier, begin, end
        for tier in range(self.tier_count):
            begin = self.tier_start[tier]
            end = self.tier_start[tier + 1]
            if begin < end and self._admit(begin, end):
                self._fill(begin, end)
                self._round_down(begin, end, allowed)
                self._sum_loads()
                self._hand_out(begin, end, allowed)
                self._name_stops(begin, end)
        return 0

    cdef int _sum_loads(self) except -1 nogil:
        """Set `load` to what all EVSEs hold now, summed afresh."""
        cdef int i, p
        cdef double* loads
        cdef Evse* evse
        cdef Node* node
        cdef Node* up
        for i in range(self.live_count):
            memset(&self.nodes[i].load[0], 0, 4 * sizeof(double))
        for i in range(self.evse_count):
            evse = &self.evses[i]
            node = &self.nodes[evse.node]
            loads = LOADS[evse.phases]
            for p in range(4):
                node.load[p] += evse.value * loads[p]
        for i in range(self.live_count - 1, 0, -1):
            node = &self.nodes[i]
            if node.parent >= 0:
                up = &self.nodes[node.parent]
                for p in range(4):
                    up.load[p] += node.load[p]
        return 0

    cdef int _refusal(self, int at, int phases, double more) except -2 nogil:
        """4 * node + row of the first row up to the root without room for `more` A, or -1."""
        cdef int rows
        cdef Node* node
        while at >= 0:
            node = &self.nodes[at]
            rows = _refusing_rows(node, phases, more)
            if rows:
                return 4 * at + _lowest(rows)
            at = node.parent
        return -1

    cdef int _add(self, int at, int phases, double more) except -1 nogil:
        """Add `more` A on `phases` to every node up to the root."""
        cdef int p
        cdef double* loads = LOADS[phases]
        cdef Node* node
        while at >= 0:
            node = &self.nodes[at]
            for p in range(4):
                node.load[p] += more * loads[p]
            at = node.parent
        return 0

    # ---- admission -------------------------------------------------------------------------------

    cdef int _admit(self, int begin, int end) except -1 nogil:
        """Admit at the minimum in queue order whoever fits; the number of those admitted."""
        cdef int k, i, refuser, admitted = 0
        cdef double more
        cdef Evse* evse
        for k in range(begin, end):
            i = self.roster[k]
            if self.increments[i].least <= self.increments[i].greatest:
                self.evses[i].admitted = 1
                admitted += 1
        if self._all_fit(begin, end):
            return admitted
        admitted = 0
        for k in range(begin, end):
            i = self.queue[k]
            evse = &self.evses[i]
            if not evse.admitted:
                continue
            evse.admitted = 0
            more = evse.lower - evse.value
            refuser = self._refusal(evse.node, evse.phases, more)
            if refuser < 0:
                self._add(evse.node, evse.phases, more)
                evse.value = evse.lower
                evse.admitted = 1
                admitted += 1
            else:
                self._name_refusal(evse, more, refuser)
        return admitted

    cdef int _all_fit(self, int begin, int end) except -1 nogil:
        """Whether all fit at their minima, so that no order matters; if so they get them."""
        cdef int k, i
        cdef bint fit = True
        cdef Evse* evse
        for k in range(begin, end):
            evse = &self.evses[self.roster[k]]
            if evse.admitted:
                # One who pauses at more than the minimum makes room: then the order does matter.
                fit = fit and evse.lower >= evse.value
                evse.value = evse.lower
        self._sum_loads()
        for i in range(self.live_count):
            fit = fit and not _refusing_rows(&self.nodes[i], 7, 0.0)
        if not fit:
            for k in range(begin, end):
                i = self.roster[k]
                self.evses[i].value = self.increments[i].pause
            self._sum_loads()
        return fit

    cdef int _name_refusal(self, Evse* evse, double more, int refuser) except -1 nogil:
        """Say why an EVSE was not admitted; a row exceeded by base load alone comes first."""
        cdef int at = evse.node, rows
        cdef Node* node
        evse.code = C_NOT_ADMITTED
        evse.stop_node = refuser // 4
        evse.stop_row = refuser % 4
        while at >= 0:
            node = &self.nodes[at]
            if node.deficit_rows:
                rows = _refusing_rows(node, evse.phases, more) & node.deficit_rows
                if rows:
                    evse.code = C_BASE_OVER_CEILING
                    evse.stop_node = at
                    evse.stop_row = _lowest(rows)
                    return 0
            at = node.parent
        return 0

    # ---- filling ---------------------------------------------------------------------------------

    cdef int _fill(self, int begin, int end) except -1 nogil:
        """Raise the level until everybody in roster[begin:end] stands; sets `filled` and stops."""
        cdef int i, k, node, next_start = 0, next_cap = 0
        cdef double level, level_cap
        level = self._free_level(begin, end)
        self._take_events(begin, end, level)
        self._sum_members()
        self.next_start = self.starts[0].level if self.start_count else INFINITY
        self._build_heap()
        while self.heap_count:
            while (
                next_cap < self.cap_count
                and self.evses[self.caps[next_cap].index].doing == STANDING
            ):
                next_cap += 1
            if next_cap == self.cap_count:
                break
            level_cap = self.caps[next_cap].level
            if self.next_start <= level_cap and self.next_start <= self.heap[0].level:
                level = self.next_start
                next_start = self._start(next_start)
            elif level_cap <= self.heap[0].level:
                level = level_cap
                next_cap = self._cap(next_cap)
            else:
                node = self.heap[0].index
                self._compute_key(node)
                if (
                    self.key_exact
                    and self.key < self.next_start
                    and self.key < level_cap
                    and self.key <= self._second_key()
                ):
                    level = max(level, self.key)
                    self._stop_row(node, self.key_row, level)
                    self._compute_key(node)
                self._replace_top(max(self.key, level))
        # No row is left that could be full: the others reach their upper bounds.
        for k in range(begin, end):
            i = self.roster[k]
            if self.evses[i].doing != STANDING:
                self.evses[i].doing = STANDING
                self.evses[i].filled = self.evses[i].upper
        return 0

    cdef double _free_level(self, int begin, int end) except -1.0 nogil:
        """A level up to which no row is full, even if all rose from their lower bounds at once."""
        cdef int i, k, p
        cdef double level = INFINITY, weight, va_weight, room
        cdef Evse* evse
        cdef Fill* fill
        cdef Fill* up
        cdef Node* node
        for i in range(self.live_count):
            memset(&self.fills[i].resting[0], 0, 4 * sizeof(long long))
        for k in range(begin, end):
            evse = &self.evses[self.roster[k]]
            if evse.admitted:
                fill = &self.fills[evse.node]
                for p in range(4):
                    fill.resting[p] += evse.quanta & -<long long>(evse.phases >> p & 1)
        for i in range(self.live_count - 1, -1, -1):
            node = &self.nodes[i]
            fill = &self.fills[i]
            room = node.headroom[3]
            va_weight = 0.0
            for p in range(3):
                weight = <double>fill.resting[p] * self.quantum
                if weight * level > node.headroom[p] - node.load[p]:
                    level = (node.headroom[p] - node.load[p]) / weight
                room -= node.voltage[p] * node.load[p]
                va_weight += node.voltage[p] * weight
            if va_weight * level > room:
                level = room / va_weight
            if node.parent >= 0:
                up = &self.fills[node.parent]
                for p in range(4):
                    up.resting[p] += fill.resting[p]
        return max(0.0, level)

    cdef int _take_events(self, int begin, int end, double level) except -1 nogil:
        """Take everybody to `level` and sort the starts and caps that are above it."""
        cdef int k, i
        cdef double start, cap, per_weight
        cdef Evse* evse
        self.start_count = self.cap_count = 0
        for k in range(begin, end):
            i = self.roster[k]
            evse = &self.evses[i]
            if not evse.admitted:
                continue
            per_weight = 1.0 / evse.weight
            cap = evse.upper * per_weight
            if cap <= level:
                evse.doing = STANDING
                evse.filled = evse.value = evse.upper
                continue
            start = evse.lower * per_weight
            evse.doing = MOVING
            if start > level:
                evse.doing = RESTING
                self.starts[self.start_count].level = start
                self.starts[self.start_count].index = i
                self.start_count += 1
            self.caps[self.cap_count].level = cap
            self.caps[self.cap_count].index = i
            self.cap_count += 1
        self._sort(self.starts, self.start_count)
        self._sort(self.caps, self.cap_count)
        return 0

    cdef int _sum_members(self) except -1 nogil:
        """Set up per node the fixed load, the weights and the rows that can be full at all."""
        cdef int i, p
        cdef double fixed, most
        cdef double* loads
        cdef Evse* evse
        cdef Fill* fill
        memset(&self.fills[0], 0, self.live_count * sizeof(Fill))
        for i in range(self.evse_count):
            evse = &self.evses[i]
            fill = &self.fills[evse.node]
            fixed = most = evse.value
            if evse.doing != STANDING:
                most = evse.upper
                if evse.doing == MOVING:
                    fixed = 0.0
                    for p in range(4):
                        fill.moving[p] += evse.quanta & -<long long>(evse.phases >> p & 1)
                else:
                    for p in range(4):
                        fill.resting[p] += evse.quanta & -<long long>(evse.phases >> p & 1)
            loads = LOADS[evse.phases]
            for p in range(4):
                fill.fixed[p] += fixed * loads[p]
                fill.most[p] += most * loads[p]
        for i in range(self.live_count - 1, -1, -1):
            self._sum_children(i)
        return 0

    cdef int _sum_children(self, int at) except -1 nogil:
        """Find the rows of a node that can be full, and add the node to its parent."""
        cdef int p
        cdef double most, va = 0.0
        cdef Node* node = &self.nodes[at]
        cdef Fill* fill = &self.fills[at]
        cdef Fill* up = &self.fills[node.parent] if node.parent >= 0 else NULL
        fill.rows = 0
        for p in range(3):
            most = fill.most[p]
            if most > node.headroom[p]:
                fill.rows |= 1 << p
                # No more than the row takes, unless it was above that before.
                if node.load[p] <= node.headroom[p]:
                    most = node.headroom[p]
            va += node.voltage[p] * most
            if up != NULL:
                up.most[p] += most
                up.fixed[p] += fill.fixed[p]
                up.moving[p] += fill.moving[p]
                up.resting[p] += fill.resting[p]
        if va > node.headroom[3]:
            fill.rows |= 8
        return 0

    cdef int _compute_key(self, int at) except -1 nogil:
        """Set `key` to a lower bound of the level at which a row of the node is full."""
        cdef int p
        cdef double moving, resting
        cdef double va_fixed = 0.0, va_moving = 0.0, va_resting = 0.0
        cdef Node* node = &self.nodes[at]
        cdef Fill* fill = &self.fills[at]
        self.key = INFINITY
        self.key_exact = False
        for p in range(3):
            moving = <double>fill.moving[p] * self.quantum
            resting = <double>fill.resting[p] * self.quantum
            if fill.rows & (1 << p):
                self._consider(p, node.headroom[p] - fill.fixed[p], moving, resting)
            va_fixed += node.voltage[p] * fill.fixed[p]
            va_moving += node.voltage[p] * moving
            va_resting += node.voltage[p] * resting
        if fill.rows & 8:
            self._consider(3, node.headroom[3] - va_fixed, va_moving, va_resting)
        return 0

    cdef inline int _consider(
        self, int row, double room, double moving, double resting
    ) except -1 nogil:
        """Lower `key` to the level at which a row with `room` beside its fixed load is full."""
        cdef double level = INFINITY
        cdef bint exact = True
        if moving + resting == 0.0:
            return 0
        if moving > 0.0:
            level = room / moving
        if level > self.next_start:
            exact = False
            level = self.next_start
            level = max(level, level + (room - moving * level) / (moving + resting))
        if level < self.key:
            self.key = level
            self.key_row = row
            self.key_exact = exact
        return 0

    cdef int _start(self, int k) except -1 nogil:
        """Let those of one node that start at the same level start; returns whose turn is next."""
        cdef int at = self.evses[self.starts[k].index].node
        cdef double level = self.starts[k].level
        cdef Evse* evse
        while k < self.start_count and self.starts[k].level == level:
            evse = &self.evses[self.starts[k].index]
            if evse.doing == RESTING:
                if evse.node != at:
                    break
                evse.doing = MOVING
                _note(&self.change, evse.phases, -evse.lower, evse.quanta, -evse.quanta)
            k += 1
        self._apply_change(at)
        while (
            k < self.start_count
            and self.evses[self.starts[k].index].doing != RESTING
        ):
            k += 1
        self.next_start = self.starts[k].level if k < self.start_count else INFINITY
        return k

    cdef int _cap(self, int k) except -1 nogil:
        """Stop those of one node that are full at the same level; returns whose turn is next."""
        cdef int at = self.evses[self.caps[k].index].node
        cdef double level = self.caps[k].level
        cdef Evse* evse
        while k < self.cap_count and self.caps[k].level == level:
            evse = &self.evses[self.caps[k].index]
            if evse.doing != STANDING:
                if evse.node != at:
                    break
                _stop(evse, &self.change, evse.upper)
            k += 1
        self._apply_change(at)
        return k

    cdef int _stop_row(self, int node, int row, double level) except -1 nogil:
        """Stop everybody who loads a full row."""
        cdef int i, p, at = -1, phases = 0, code = C_NODE_CEILING
        cdef double value
        cdef Evse* evse
        if row < 3:
            phases = 1 << row
        else:
            code = C_VA_CEILING
            for p in range(3):
                if self.nodes[node].voltage[p] > 0.0:
                    phases |= 1 << p
        if self.nodes[node].deficit_rows & (1 << row):
            code = C_BASE_OVER_CEILING
        self.fills[node].rows &= ~(1 << row)
        for i in range(self.nodes[node].first, self.nodes[node].last):
            evse = &self.evses[i]
            if evse.doing == STANDING or not evse.phases & phases:
                continue
            if evse.node != at:
                if at >= 0:
                    self._apply_change(at)
                at = evse.node
            value = evse.lower
            if evse.doing == MOVING:
                value = min(max(evse.weight * level, value), evse.upper)
            _stop(evse, &self.change, value)
            evse.code = code
            evse.stop_node = node
            evse.stop_row = row
        if at >= 0:
            self._apply_change(at)
        return 0

    cdef int _apply_change(self, int at) except -1 nogil:
        """Carry what was noted from a node up to the root."""
        cdef int p
        cdef Fill* fill
        cdef Change change = self.change
        while at >= 0:
            fill = &self.fills[at]
            for p in range(4):
                fill.fixed[p] += change.fixed[p]
                fill.moving[p] += change.moving[p]
                fill.resting[p] += change.resting[p]
            at = self.nodes[at].parent
        memset(&self.change, 0, sizeof(Change))
        return 0

    # ---- increments ------------------------------------------------------------------------------

    cdef int _round_down(self, int begin, int end, const double[::1] allowed) except -1 nogil:
        """Set `value` to the greatest allowed current up to `filled`; `lost` is the difference."""
        cdef int k, i
        cdef Evse* evse
        cdef Increments* own
        for k in range(begin, end):
            i = self.roster[k]
            evse = &self.evses[i]
            own = &self.increments[i]
            if not evse.admitted:
                continue
            if own.kind == CONTINUOUS:
                evse.value = evse.filled
                continue
            if own.kind == STEPPED:
                own.count = <long long>((evse.filled + SAME_A) * own.per_ampere)
                own.count = min(max(own.count, own.least), own.greatest)
                evse.value = <double>own.count * own.step
            else:
                own.count = own.least
                while (
                    own.count < own.greatest
                    and allowed[own.list_start + own.count + 1] <= evse.filled + SAME_A
                ):
                    own.count += 1
                self._stand_on_list(evse, own, allowed)
            own.lost = max(0.0, evse.filled - evse.value)
        return 0

    cdef int _stand_on_list(
        self, Evse* evse, Increments* own, const double[::1] allowed
    ) except -1 nogil:
        evse.value = allowed[own.list_start + own.count]
        if own.count < own.greatest:
            own.rise = allowed[own.list_start + own.count + 1] - evse.value
        return 0

    cdef int _hand_out(self, int begin, int end, const double[::1] allowed) except -1 nogil:
        """Give one increment a sweep, largest remainder first, to all whom it fits, until none."""
        cdef int k, i, count = 0, left
        cdef double rise
        cdef Evse* evse
        cdef Increments* own
        # Backwards, so that reading the sorted list backwards leaves ties in queue order.
        for k in range(end - 1, begin - 1, -1):
            i = self.queue[k]
            evse = &self.evses[i]
            own = &self.increments[i]
            if not evse.admitted or own.kind == CONTINUOUS or own.count == own.greatest:
                continue
            # Nothing gets lighter while increments are handed out: who is refused stays refused.
            if not self._is_refused_at_stop(evse, own):
                # In whole nA, so that noise does not part what is equal.
                self.caps[count].level = <double><long long>(own.lost * 1e9 + 0.5)
                self.caps[count].index = i
                count += 1
        self._sort(self.caps, count)
        for k in range(count):
            self.candidates[k] = self.caps[count - 1 - k].index
        while count:
            left = 0
            for k in range(count):
                i = self.candidates[k]
                evse = &self.evses[i]
                own = &self.increments[i]
                if self._is_refused_at_stop(evse, own):
                    continue
                rise = own.rise
                own.refuser = self._refusal(evse.node, evse.phases, rise)
                if own.refuser >= 0:
                    continue
                self._add(evse.node, evse.phases, rise)
                own.count += 1
                if own.kind == STEPPED:
                    evse.value = <double>own.count * own.step
                else:
                    self._stand_on_list(evse, own, allowed)
                if own.count < own.greatest:
                    self.candidates[left] = i
                    left += 1
            count = left
        return 0

    cdef inline bint _is_refused_at_stop(self, Evse* evse, Increments* own) except -1 nogil:
        """Whether the row that stopped the filling, the likeliest one, has no room for a step."""
        cdef Node* node
        if evse.stop_node < 0:
            return False
        own.refuser = 4 * evse.stop_node + evse.stop_row
        node = &self.nodes[evse.stop_node]
        if evse.stop_row < 3:
            return node.load[evse.stop_row] + own.rise > node.bound[evse.stop_row]
        return _refusing_rows(node, evse.phases, own.rise) >= 8

    cdef int _name_stops(self, int begin, int end) except -1 nogil:
        """Correct the reasons of the filling by what rounding and handing out made of it."""
        cdef int k, i
        cdef double moved
        cdef Evse* evse
        cdef Increments* own
        for k in range(begin, end):
            i = self.roster[k]
            evse = &self.evses[i]
            own = &self.increments[i]
            if not evse.admitted:
                continue
            if evse.value == evse.upper:
                evse.code = own.code_at_top
                evse.stop_node = -1
                evse.stop_row = -1
            elif own.kind != CONTINUOUS:
                moved = evse.value - evse.filled
                if not -SAME_A <= moved <= SAME_A:
                    evse.code = C_INCREMENT
                    evse.stop_node = own.refuser // 4
                    evse.stop_row = own.refuser % 4
        return 0

    # ---- giving the output -----------------------------------------------------------------------

    cdef int _give(
        self,
        const double[::1] ceiling,
        const double[::1] base,
        double[::1] setpoint,
        int[::1] admitted,
        int[::1] code,
        int[::1] stop_node,
        int[::1] stop_row,
        double[::1] deficit,
    ) except -1 nogil:
        cdef int i
        cdef Evse* evse
        cdef Increments* own
        for i in range(4 * self.node_count):
            deficit[i] = max(0.0, base[i] - ceiling[i])
        for i in range(self.evse_count):
            evse = &self.evses[i]
            setpoint[evse.outer] = evse.value
            own = &self.increments[i]
            if own.kind == STEPPED and evse.admitted:
                setpoint[evse.outer] = _decimal(own)
            admitted[evse.outer] = evse.admitted
            code[evse.outer] = evse.code
            stop_node[evse.outer] = (
                self.nodes[evse.stop_node].outer if evse.stop_node >= 0 else -1
            )
            stop_row[evse.outer] = evse.stop_row
        return 0

    # ---- checking the output ---------------------------------------------------------------------

    def verify(
        self,
        const double[::1] ceiling not None,
        const double[::1] base not None,
        const double[::1] voltage not None,
        const double[::1] minimum not None,
        const double[::1] maximum not None,
        const double[::1] step not None,
        const double[::1] pause not None,
        const int[::1] allowed_start not None,
        const double[::1] allowed not None,
        const double[::1] setpoint not None,
        const int[::1] admitted not None,
        double[::1] work not None,
    ):
        """Check an answer of `solve` with the arrays of `solve`: `DONE`, or what does not hold.

        `ROW_EXCEEDED`: a row is above its headroom although somebody who loads it was admitted.
        `SETPOINT_OUTSIDE`: an EVSE has neither an allowed current nor its pause value. `bad_index`
        names the node or EVSE. `work[6M]` is scratch memory.
        """
        cdef int status
        cdef Py_ssize_t m = self.node_count
        self._check_shapes(ceiling.shape[0], base.shape[0], 4 * m, 4 * m)
        self._check_shapes(2 * voltage.shape[0], work.shape[0], 6 * m, 6 * m)
        with nogil:
            status = self._verify_setpoints(
                minimum, maximum, step, pause, allowed_start, allowed, setpoint, admitted
            )
            if status == S_DONE:
                status = self._verify_rows(ceiling, base, voltage, setpoint, admitted, work)
        return status

    cdef int _verify_setpoints(
        self,
        const double[::1] minimum,
        const double[::1] maximum,
        const double[::1] step,
        const double[::1] pause,
        const int[::1] allowed_start,
        const double[::1] allowed,
        const double[::1] setpoint,
        const int[::1] admitted,
    ) except -1 nogil:
        cdef int i, k
        cdef double x, off, slack
        cdef bint listed
        for i in range(self.evse_count):
            x = setpoint[i]
            self.bad_index = i
            if not admitted[i]:
                if x != pause[i]:
                    return S_SETPOINT_OUTSIDE
                continue
            if not minimum[i] - SAME_A <= x <= maximum[i] + SAME_A:
                return S_SETPOINT_OUTSIDE
            if allowed_start[i + 1] > allowed_start[i]:
                listed = False
                for k in range(allowed_start[i], allowed_start[i + 1]):
                    if x == allowed[k]:
                        listed = True
                if not listed:
                    return S_SETPOINT_OUTSIDE
            elif step[i] > 0.0:
                off = x - step[i] * <double><long long>(x / step[i] + 0.5)
                slack = SAME_A + ROW_SLACK_RELATIVE * x
                if not -slack <= off <= slack:
                    return S_SETPOINT_OUTSIDE
        return S_DONE

    cdef int _verify_rows(
        self,
        const double[::1] ceiling,
        const double[::1] base,
        const double[::1] voltage,
        const double[::1] setpoint,
        const int[::1] admitted,
        double[::1] work,
    ) except -1 nogil:
        cdef int i, k, p, m = self.node_count, node, up
        cdef double room, va, loading
        for i in range(6 * m):
            work[i] = 0.0
        for i in range(self.evse_count):
            node = self.outer_evse_node[i]
            for p in range(3):
                if self.outer_evse_phases[i] & (1 << p):
                    work[6 * node + p] += setpoint[i]
                    work[6 * node + 3 + p] += admitted[i]
        for k in range(m):
            node = self.leaves_first[k]
            up = self.outer_parent[node]
            va = loading = 0.0
            self.bad_index = node
            for p in range(3):
                if up >= 0:
                    work[6 * up + p] += work[6 * node + p]
                    work[6 * up + 3 + p] += work[6 * node + 3 + p]
                va += voltage[3 * node + p] * work[6 * node + p]
                loading += voltage[3 * node + p] * work[6 * node + 3 + p]
                room = max(0.0, ceiling[4 * node + p] - base[4 * node + p])
                if work[6 * node + 3 + p] > 0.0 and _exceeds(work[6 * node + p], room):
                    return S_ROW_EXCEEDED
            room = max(0.0, ceiling[4 * node + 3] - base[4 * node + 3])
            if loading > 0.0 and _exceeds(va, room):
                return S_ROW_EXCEEDED
        return S_DONE

    # ---- heap and sort ---------------------------------------------------------------------------

    cdef int _build_heap(self) except -1 nogil:
        cdef int node, k
        self.heap_count = 0
        for node in range(self.live_count):
            if self.fills[node].rows:
                self._compute_key(node)
                if self.key < INFINITY:
                    self.heap[self.heap_count].level = self.key
                    self.heap[self.heap_count].index = node
                    self.heap_count += 1
        for k in range(self.heap_count // 2 - 1, -1, -1):
            self._sift_down(k)
        return 0

    cdef int _sift_down(self, int k) except -1 nogil:
        cdef Event entry = self.heap[k]
        cdef int child, count = self.heap_count
        while True:
            child = 2 * k + 1
            if child >= count:
                break
            if child + 1 < count and _comes_first(&self.heap[child + 1], &self.heap[child]):
                child += 1
            if not _comes_first(&self.heap[child], &entry):
                break
            self.heap[k] = self.heap[child]
            k = child
        self.heap[k] = entry
        return 0

    cdef double _second_key(self) except? -1.0 nogil:
        if self.heap_count < 2:
            return INFINITY
        if self.heap_count == 2:
            return self.heap[1].level
        return min(self.heap[1].level, self.heap[2].level)

    cdef int _replace_top(self, double key) except -1 nogil:
        """Put the top entry where `key` belongs; infinity takes it out."""
        if key == INFINITY:
            self.heap_count -= 1
            if self.heap_count == 0:
                return 0
            self.heap[0] = self.heap[self.heap_count]
        else:
            self.heap[0].level = key
        return self._sift_down(0)

    cdef int _sort(self, Event[::1] events, int count) except -1 nogil:
        """Sort by level, which is not negative, stable."""
        cdef int k
        if count <= SMALL_SORT:
            _sort_by_insertion(events, count, count * count)
            return 0
        for k in range(1, count):
            if events[k].level < events[k - 1].level:
                # The upper bits nearly always tell levels apart; insertion mends the rest.
                self._sort_by_radix(events, count, 4 if count < 2048 else 3)
                if not _sort_by_insertion(events, count, 4 * count):
                    self._sort_by_radix(events, count, 0)
                return 0
        return 0

    cdef int _sort_by_radix(self, Event[::1] events, int count, int first_digit) except -1 nogil:
        """Sort by the six digits of 11 bits from `first_digit` on, stable."""
        cdef int k, digit, total, here
        cdef unsigned long long bits
        cdef int* histogram
        # One check for all: no index below reaches `count`.
        cdef Event* source = &events[count - 1] - (count - 1)
        cdef Event* target = &self.spare[count - 1] - (count - 1)
        histogram = &self.histogram[6 * 2048 - 1] - (6 * 2048 - 1)
        memset(histogram + 2048 * first_digit, 0, (6 - first_digit) * 2048 * sizeof(int))
        for k in range(count):
            bits = _bits(source[k].level)
            for digit in range(first_digit, 6):
                histogram[2048 * digit + <int>((bits >> (11 * digit)) & 2047)] += 1
        for digit in range(first_digit, 6):
            histogram = &self.histogram[2048 * digit]
            # Where all levels agree there is nothing to do.
            if histogram[(_bits(source[0].level) >> (11 * digit)) & 2047] == count:
                continue
            total = 0
            for k in range(2048):
                here = histogram[k]
                histogram[k] = total
                total += here
            for k in range(count):
                here = <int>((_bits(source[k].level) >> (11 * digit)) & 2047)
                target[histogram[here]] = source[k]
                histogram[here] += 1
            source, target = target, source
        if source != &events[0]:
            memcpy(target, source, count * sizeof(Event))
        return 0


cdef int _sort_by_insertion(Event[::1] events, int count, int moves) except -1 nogil:
    """Sort by level, stable; whether `moves` were enough."""
    cdef int k, j
    cdef Event event
    for k in range(1, count):
        if events[k - 1].level <= events[k].level:
            continue
        event = events[k]
        j = k - 1
        while j >= 0 and events[j].level > event.level:
            events[j + 1] = events[j]
            j -= 1
            moves -= 1
        events[j + 1] = event
        if moves < 0:
            return 0
    return 1
