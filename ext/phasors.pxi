# Curved rows: where line-to-line loads and transformers make phasors of currents.
#
# Angles are counted from the line's own voltage to neutral. What loads a line has one of three
# kinds, and a delta-wye transformer turns each into the next, divided by its turns ratio:
#
#   WYE, between a line and neutral: 0 degrees on its line;
#   DELTA, between a line and the next: +30 degrees on the first line, -30 on the second;
#   DOUBLE, a line-to-line load seen through one transformer: twice on its line, and at -60 and +60
#   degrees on the next and the one before. Through another transformer it is three times DELTA.
#
# WYE loads of a node's own side are in the lanes of `Node` and `Fill`; the others are in `Curved`.
#
# A row must hold for every draw between 0 and the setpoints. The farthest of all such sums is a
# corner of the box, and one in which all take part whose direction is within 90 degrees of its own:
# of five directions within 60 degrees to each side, everything, or everything but what is outermost
# on one side. What a line feeds back in phase with its voltage is no import and makes room, as on
# straight rows: `_import` measures the rest.

cdef double COS_30 = 0.8660254037844386


cdef inline int _turned(int bits) noexcept nogil:
    """Each of three bits moved to the next: line 1 to 2, 2 to 3, 3 to 1."""
    return (bits << 1 | bits >> 2) & 7


cdef inline double _import(double re, double im) noexcept nogil:
    """Magnitude of a line current, what flows back in phase with the voltage left out."""
    if re > 0.0:
        return sqrt(re * re + im * im)
    return -im if im < 0.0 else im


cdef inline Reach _reach_at(Reach* entry, int zone) noexcept nogil:
    """How an EVSE loads the lines of a node in `zone`, which is above it; its scale is left out."""
    cdef Reach reach
    cdef int crossings = entry.zone - zone
    reach.at = -1
    reach.kind = entry.kind
    reach.bits = entry.bits
    reach.zone = zone
    reach.scale = 1.0
    while crossings > 0:
        if reach.kind == DELTA:
            reach.kind = DOUBLE
            reach.bits = _turned(reach.bits)
        else:
            reach.kind = DELTA
        crossings -= 1
    return reach


cdef inline void _cross(Reach* reach, double turns) noexcept nogil:
    """Go from the secondary to the primary side of a transformer."""
    reach.zone -= 1
    if reach.kind == DELTA:
        reach.kind = DOUBLE
        reach.bits = _turned(reach.bits)
        reach.scale /= turns
    elif reach.kind == DOUBLE:
        reach.kind = DELTA
        reach.scale *= 3.0 / turns
    else:
        reach.kind = DELTA
        reach.scale /= turns


cdef inline int _lines_of(Reach* reach) noexcept nogil:
    """The lines that carry any of it, as bits."""
    if reach.kind == WYE:
        return reach.bits
    if reach.kind == DELTA:
        return reach.bits | _turned(reach.bits)
    return 7


cdef inline void _put(double[2][4] sums, Reach* reach, double current) noexcept nogil:
    """Add the current of an EVSE to sums by kind; WYE loads are kept elsewhere."""
    cdef int p
    if reach.kind != WYE:
        for p in range(3):
            if reach.bits >> p & 1:
                sums[reach.kind - 1][p] += current * reach.scale


cdef inline void _put_weight(long long[2][4] sums, Reach* reach, long long quanta) noexcept nogil:
    """The same with a weight: in whole quanta, so that what was added can be taken away exactly."""
    cdef int p
    cdef long long scaled = <long long>(<double>quanta * reach.scale + 0.5)
    if quanta < 0:
        scaled = -<long long>(<double>-quanta * reach.scale + 0.5)
    if reach.kind != WYE:
        for p in range(3):
            if reach.bits >> p & 1:
                sums[reach.kind - 1][p] += scaled


cdef inline void _line(
    Line* line, int p, double* wye, double* delta, double* double_
) noexcept nogil:
    """What loads line `p`, by direction: 0, +30, -30, +60 and -60 degrees."""
    cdef int next_ = (p + 1) % 3, last = (p + 2) % 3
    line.straight = wye[p] + 2.0 * double_[p]
    line.ahead = delta[p]
    line.behind = delta[last]
    line.far_ahead = double_[next_]
    line.far_behind = double_[last]


cdef inline void _weigh(
    Line* line, int p, long long* wye, long long* delta, long long* double_, double quantum
) noexcept nogil:
    """The same of weights in quanta."""
    cdef int next_ = (p + 1) % 3, last = (p + 2) % 3
    line.straight = <double>(wye[p] + 2 * double_[p]) * quantum
    line.ahead = <double>delta[p] * quantum
    line.behind = <double>delta[last] * quantum
    line.far_ahead = <double>double_[next_] * quantum
    line.far_behind = <double>double_[last] * quantum


cdef inline void _corner(Line* line, int corner, double* re, double* im) noexcept nogil:
    """The phasor sum of those who take part in a corner."""
    cdef double ahead = line.ahead, behind = line.behind
    cdef double far_ahead = line.far_ahead, far_behind = line.far_behind
    if corner == WITHOUT_FAR_BEHIND:
        far_behind = 0.0
    elif corner == WITHOUT_BEHIND:
        far_behind = behind = 0.0
    elif corner == WITHOUT_FAR_AHEAD:
        far_ahead = 0.0
    elif corner == WITHOUT_AHEAD:
        far_ahead = ahead = 0.0
    re[0] = line.straight + COS_30 * (ahead + behind) + 0.5 * (far_ahead + far_behind)
    im[0] = 0.5 * (ahead - behind) + COS_30 * (far_ahead - far_behind)


cdef bint _raises(Reach* reach, int p, Full* full) noexcept nogil:
    """Whether more of an EVSE's current on line `p` raises a corner that is full."""
    cdef int next_ = (p + 1) % 3, last = (p + 2) % 3, corner = full.corner
    if reach.kind == WYE:
        return reach.bits >> p & 1 and _is_along(full, 1.0, 0.0)
    if reach.kind == DELTA:
        return (
            reach.bits >> p & 1 and corner != WITHOUT_AHEAD and _is_along(full, COS_30, 0.5)
        ) or (
            reach.bits >> last & 1 and corner != WITHOUT_BEHIND and _is_along(full, COS_30, -0.5)
        )
    return (
        (reach.bits >> p & 1 and _is_along(full, 1.0, 0.0))
        or (
            reach.bits >> next_ & 1
            and corner != WITHOUT_AHEAD
            and corner != WITHOUT_FAR_AHEAD
            and _is_along(full, 0.5, COS_30)
        )
        or (
            reach.bits >> last & 1
            and corner != WITHOUT_BEHIND
            and corner != WITHOUT_FAR_BEHIND
            and _is_along(full, 0.5, -COS_30)
        )
    )


cdef inline bint _is_along(Full* full, double re, double im) noexcept nogil:
    """Where the bound is round, what is at a right angle leaves it too; on its flat part not."""
    cdef double along = full.re * re + full.im * im
    return along > 1e-12 if full.flat else along > -1e-12


cdef double _worst(Curved* curved, int p, Line* line) noexcept nogil:
    """The greatest import on line `p` that draws up to `line` can cause, base load included."""
    cdef int corner
    cdef double re, im, worst = 0.0
    for corner in range(CORNERS):
        if curved.corners[p] >> corner & 1:
            _corner(line, corner, &re, &im)
            worst = max(worst, _import(curved.base_re[p] + re, curved.base_im[p] + im))
    return worst


cdef double _crossing(
    double re, double im, double rise_re, double rise_im, double ceiling
) noexcept nogil:
    """The greatest t at which `_import` of a sum + rise * t is still within `ceiling`."""
    cdef double a, b, c, root, level
    if re < 0.0 and rise_im != 0.0:
        # As long as the line feeds back only what is across the voltage counts.
        level = ((ceiling if rise_im > 0.0 else -ceiling) - im) / rise_im
        if re + rise_re * level <= 0.0:
            return level
    a = rise_re * rise_re + rise_im * rise_im
    b = re * rise_re + im * rise_im
    c = (re - ceiling) * (re + ceiling) + im * im
    root = b * b - a * c
    root = sqrt(root) if root > 0.0 else 0.0
    # Two forms of the larger root: each adds what has one sign, so that nothing cancels.
    if b > 0.0 or (b == 0.0 and root > 0.0):
        return -c / (b + root)
    return (root - b) / a


cdef inline double _delta_volts(double first, double second) noexcept nogil:
    """The voltage between two lines 120 degrees apart."""
    return sqrt(first * first + first * second + second * second)


cdef double _va_of(Node* node, Curved* curved, double* wye, double[2][4] sums) noexcept nogil:
    """The apparent power of currents by kind."""
    cdef int p
    cdef double va = 0.0
    for p in range(3):
        va += (
            node.voltage[p] * wye[p]
            + curved.volts[0][p] * sums[0][p]
            + curved.volts[1][p] * sums[1][p]
        )
    return va
