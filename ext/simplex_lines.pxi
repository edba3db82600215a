# The sums of the parametric simplex method between two exchanges: straight lines over the level.
#
# `sums` has what a sum would be at level 0, `rates` and the weights in `fills` by how much it
# rises. Who begins to rise, or stops at its upper bound or below a full row, bends the lines on its
# way to the root and, through the tight rows, those of the basic EVSEs; each node knows where its
# first row will be full. Only an exchange has all counted anew. Weights are counted in quanta: what
# is left of a sum of them is exact.

cdef inline double _lower_at(Kernel site, int i) noexcept nogil:
    """What an EVSE draws at the level that stands at its lower bound there."""
    cdef Evse* evse = &site.evses[i]
    return min(max(evse.weight * site.simplex.level, evse.lower), evse.upper)


cdef inline double _basic_at(Kernel site, int j) noexcept nogil:
    """What the j-th basic EVSE draws at the level."""
    return site.basic_start[j] + site.basic_rate[j] * site.simplex.level


cdef int _count_lines(Kernel site) except -1 nogil:
    """Count all straight lines anew, and where the rows of every node are full."""
    cdef int i, j, k, p, at, row, up
    cdef double fixed
    cdef long long quanta
    cdef Evse* evse
    cdef Simplex* own = &site.simplex
    memset(&site.sums[0], 0, 4 * site.live_count * sizeof(double))
    memset(&site.rates[0], 0, 4 * site.live_count * sizeof(double))
    for at in range(site.live_count):
        memset(&site.fills[at].moving[0], 0, 4 * sizeof(long long))
    own.unsettled = 0
    for i in range(site.evse_count):
        evse = &site.evses[i]
        quanta = 0
        if site.standing[i] == OUTSIDE:
            fixed = evse.value
        elif site.standing[i] == SETTLED:
            fixed = evse.filled
        elif site.standing[i] == AT_UPPER:
            fixed = evse.upper
        elif site.standing[i] == AT_LOWER:
            own.unsettled += 1
            fixed = evse.upper
            evse.doing = STANDING
            if evse.weight * own.level < evse.lower:
                fixed = evse.lower
                evse.doing = RESTING
            elif evse.weight * own.level < evse.upper:
                fixed = 0.0
                quanta = evse.quanta
                evse.doing = MOVING
        else:
            own.unsettled += site.standing[i] == BASIC
            continue
        for p in range(3):
            if evse.phases >> p & 1:
                site.sums[4 * evse.node + p] += fixed
                site.fills[evse.node].moving[p] += quanta
    for at in range(site.live_count - 1, -1, -1):
        up = site.nodes[at].up
        if up >= 0:
            for p in range(3):
                site.sums[4 * up + p] += site.sums[4 * at + p]
                site.fills[up].moving[p] += site.fills[at].moving[p]
    for k in range(own.size):
        at = site.tight[k] // ROWS_PER_NODE
        row = site.tight[k] % ROWS_PER_NODE
        site.left[k] = _row_room(site, at, row) - _row_sum(
            &site.nodes[at], &site.sums[4 * at], row
        )
        site.falling[k] = -_row_rate(site, at, row)
    for j in range(own.size):
        site.basic_start[j] = site.basic_rate[j] = 0.0
        for k in range(own.size):
            site.basic_start[j] += site.inverse[BASIS_MAX * j + k] * site.left[k]
            site.basic_rate[j] += site.inverse[BASIS_MAX * j + k] * site.falling[k]
    for j in range(own.size):
        _bend(site, site.basics[j], site.basic_start[j], site.basic_rate[j], 0)
    for at in range(site.live_count):
        _find_full(site, at)
    own.next_start = own.next_cap = own.begin
    return 0


cdef int _bend(Kernel site, int i, double start, double rate, long long quanta) except -1 nogil:
    """Add to the lines of everything above an EVSE, on its phases."""
    cdef int p, at = site.evses[i].node
    while at >= 0:
        for p in range(3):
            if site.evses[i].phases >> p & 1:
                site.sums[4 * at + p] += start
                site.rates[4 * at + p] += rate
                site.fills[at].moving[p] += quanta
        at = site.nodes[at].up
    return 0


cdef int _change(Kernel site, int i, double start, long long quanta) except -1 nogil:
    """The line of an EVSE that is not basic changes; those of the basic ones follow."""
    cdef int j, k
    cdef double counts, by_start, by_rate
    cdef Simplex* own = &site.simplex
    cdef bint followed = False
    _bend(site, i, start, 0.0, quanta)
    for k in range(own.size):
        counts = _coefficient(
            site, site.tight[k] // ROWS_PER_NODE, site.tight[k] % ROWS_PER_NODE, i
        )
        followed = followed or counts != 0.0
        site.left[k] = -counts * start
        site.falling[k] = -counts * (<double>quanta * site.quantum)
    if followed:
        for j in range(own.size):
            by_start = by_rate = 0.0
            for k in range(own.size):
                by_start += site.inverse[BASIS_MAX * j + k] * site.left[k]
                by_rate += site.inverse[BASIS_MAX * j + k] * site.falling[k]
            if by_start == 0.0 and by_rate == 0.0:
                continue
            site.basic_start[j] += by_start
            site.basic_rate[j] += by_rate
            _bend(site, site.basics[j], by_start, by_rate, 0)
            _find_full_above(site, site.basics[j])
    return _find_full_above(site, i)


cdef int _find_full_above(Kernel site, int i) except -1 nogil:
    cdef int at = site.evses[i].node
    while at >= 0:
        _find_full(site, at)
        at = site.nodes[at].up
    return 0


cdef int _find_full(Kernel site, int at) except -1 nogil:
    """Find the level at which the first loose row of a node is full."""
    cdef int row
    site.full_level[at] = INFINITY
    for row in range(STRAIGHT_VA + 1):
        if site.nodes[at].headroom[row] < INFINITY:
            _consider_row(site, at, row)
    if site.places[at].unbalance >= 0:
        for row in range(UNBALANCE_ROW, UNBALANCE_ROW + PAIRS):
            _consider_row(site, at, row)
    return 0


cdef int _consider_row(Kernel site, int at, int row) except -1 nogil:
    cdef double level, rate, least = RATE_MIN * site.simplex.heaviest
    if site.row_standing[ROWS_PER_NODE * at + row] != LOOSE:
        return 0
    if row == STRAIGHT_VA:
        least *= 100.0
    rate = _row_rate(site, at, row)
    if rate > least:
        level = _row_room(site, at, row) - _row_sum(&site.nodes[at], &site.sums[4 * at], row)
        level /= rate
        if level < site.full_level[at]:
            site.full_level[at] = level
            site.full_row[at] = row
    return 0


cdef inline double _row_rate(Kernel site, int at, int row) noexcept nogil:
    """By how much a row rises with the level."""
    cdef int p = row, q
    cdef double rate = 0.0
    cdef long long* moving = site.fills[at].moving
    cdef double* rates = &site.rates[4 * at]
    if row < STRAIGHT_VA:
        return <double>moving[p] * site.quantum + rates[p]
    if row == STRAIGHT_VA:
        for p in range(3):
            rate += site.nodes[at].voltage[p] * (<double>moving[p] * site.quantum + rates[p])
        return rate
    p = (row - UNBALANCE_ROW) // 2
    q = _second(row - UNBALANCE_ROW)
    return <double>(moving[p] - moving[q]) * site.quantum + (rates[p] - rates[q])


cdef int _stop_and_bend(Kernel site, int i, double value) except -1 nogil:
    """Stop an EVSE that is not basic at what it draws."""
    cdef Evse* evse = &site.evses[i]
    if site.standing[i] == AT_LOWER:
        site.simplex.unsettled -= 1
        if evse.doing == MOVING:
            _change(site, i, value, -evse.quanta)
        elif evse.doing == RESTING:
            _change(site, i, value - evse.lower, 0)
        evse.doing = STANDING
    return _simplex_stop(site, i, value)
