# What the kernel keeps of nodes and EVSEs, its codes and its tolerances.

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
