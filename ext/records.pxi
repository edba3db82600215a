# What the kernel keeps of nodes and EVSEs, its codes and its tolerances.

cdef enum:
    C_OWN_MAXIMUM = 0
    C_NODE_CEILING = 1
    C_VA_CEILING = 2
    C_INCREMENT = 3
    C_NOT_ADMITTED = 4
    C_BASE_OVER_CEILING = 5
    C_NO_DEMAND = 6
    C_PRIMARY_CEILING = 7
    C_UNBALANCE = 8
    # Not in this direction: neither asked nor told.
    C_ELSEWHERE = -1

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

# Rows of a node beside its straight ones, as they are numbered inside.
cdef enum:
    STRAIGHT_VA = 3
    CURVED_LINE = 4
    CURVED_VA = 7
    UNBALANCE_ROW = 8
    ROWS_PER_NODE = 16

# How a load is seen from a line; `curved.pxi` says what they mean.
cdef enum:
    WYE = 0
    DELTA = 1
    DOUBLE = 2

# The corners of what may be drawn beside everything; `curved.pxi` says why these.
cdef enum:
    EVERYTHING = 0
    WITHOUT_FAR_BEHIND = 1
    WITHOUT_BEHIND = 2
    WITHOUT_FAR_AHEAD = 3
    WITHOUT_AHEAD = 4
    CORNERS = 5

# How an EVSE loads a node: `bits` of phases, or of pairs named after their first line.
cdef struct Reach:
    int at
    int kind
    int bits
    # Transformers between the node and the root.
    int zone
    double scale

# A corner that is full: the direction in which more leaves the bound, and whether that is where the
# line feeds back, so that only what is across its voltage counts.
cdef struct Full:
    int corner
    bint flat
    double re
    double im

# What loads a line, by direction.
cdef struct Line:
    double straight
    double ahead
    double behind
    double far_ahead
    double far_behind

# Arrays over phases have a fourth place that stays 0: the compiler takes them two by two.
# Where a node is. `primary`: it stands for the primary side of a transformer, whose own node is its
# child. `turns`: the turns ratio of the transformer that it is the secondary side of, or 0.
# `curved`: index of its curved rows or -1.
cdef struct Place:
    int parent
    int outer
    int zone
    int primary
    int curved
    # Index of its unbalance ceiling or -1.
    int unbalance
    double turns

# EVSEs first to last - 1 are under a node. `up` is its parent on the same side of transformers:
# amounts of current do not add up across them.
cdef struct Node:
    int up
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

# The curved rows of a node; sums by kind, DELTA first. Its straight rows have no ceilings where
# these have.
cdef struct Curved:
    double[2][4] load
    double[2][4] fixed
    double[2][4] most
    long long[2][4] moving
    long long[2][4] resting
    double[2][4] volts
    double[3] base_re
    double[3] base_im
    double[3] ceiling
    double[3] bound
    double headroom_va
    double bound_va
    # Bits of the corners that can decide, for each line.
    int[3] corners
    # Bits of the lines that are curved, and of those that base load alone exceeds; bit 3 is VA.
    int lines
    int closed
    # Bits of the corners that can decide where nothing is fed back.
    int importing
    int feeding

# The unbalance ceiling of node `at`: for each pair of phases how much more the first may have.
cdef struct Unbalance:
    int at
    double[6] room
    double[6] bound

# The state of the simplex method: how many rows are tight, the level, and what happens next, to the
# EVSE or row `index`. It fills roster[begin:end]; `unsettled` may still rise, and `next_start` and
# `next_cap` are the next in order to begin that and to end it. What is weighed concerns the EVSEs
# `first` to `last` - 1.
cdef struct Simplex:
    int size
    int event
    int index
    int begin
    int end
    int unsettled
    int next_start
    int next_cap
    int first
    int last
    double level
    double at_level
    double heaviest

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
    # Index of where its way enters curved rows, or -1.
    int entry
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
    # ROWS_PER_NODE * node + row of the row that had no room for one increment more.
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
cdef double C_TURNS_MIN = TURNS_MIN
cdef double C_TURNS_MAX = TURNS_MAX
cdef double C_SCALE_MIN = SCALE_MIN
cdef double C_SCALE_MAX = SCALE_MAX
# Weights farther apart than this are counted anew when the heavy ones have stopped.
cdef double UNEVEN = 256.0
# Up to so many entries insertion sorts faster than radix.
cdef int SMALL_SORT = 96

# 1.0 where the bits of a set of phases are set.
cdef double[8][4] LOADS
cdef int PHASES, LANE
for PHASES in range(8):
    for LANE in range(4):
        LOADS[PHASES][LANE] = 1.0 if PHASES & (1 << LANE) and LANE < 3 else 0.0
