# The check afterwards: from the arrays of the caller alone, by code of its own.
#
# Where there are phasors they are followed here one by one, EVSE by EVSE, through every
# transformer, and gathered by direction; the worst draw is the best of twelve half planes.

# Multiples of 30 degrees.
cdef double[12] COSINES
COSINES[:] = [
    1.0, 0.8660254037844386, 0.5, 0.0, -0.5, -0.8660254037844386,
    -1.0, -0.8660254037844386, -0.5, 0.0, 0.5, 0.8660254037844386,
]
# The twelfths of a turn at which the voltages of lines, and what a pair draws, stand.
cdef int[3] LINE_ANGLE
LINE_ANGLE[:] = [0, 8, 4]
cdef int[3] PAIR_ANGLE
PAIR_ANGLE[:] = [1, 9, 5]

# What is gathered of a node: 12 directions for each line, the sum in VA, and whether anybody
# admitted loads them.
cdef enum:
    GATHERED = 41
    GATHERED_VA = 36
    GATHERED_ANY = 37

cdef struct Phasor:
    double re
    double im


cdef inline bint _exceeds(double load, double room) noexcept nogil:
    return load > room + (VERIFY_SLACK + VERIFY_SLACK_RELATIVE * room)


cdef inline Phasor _phasor(int twelfth, double amount) noexcept nogil:
    cdef Phasor made
    made.re = amount * COSINES[twelfth % 12]
    made.im = amount * COSINES[(twelfth + 9) % 12]
    return made


cdef inline Phasor _rotated(Phasor one, int twelfths) noexcept nogil:
    cdef Phasor by = _phasor(twelfths, 1.0)
    cdef Phasor made
    made.re = one.re * by.re - one.im * by.im
    made.im = one.re * by.im + one.im * by.re
    return made


cdef inline void _to_primary(Phasor* lines, double turns) noexcept nogil:
    """The currents of the primary lines, against the voltages there."""
    cdef int p
    cdef Phasor[3] secondary
    for p in range(3):
        secondary[p] = lines[p]
    for p in range(3):
        lines[p].re = (secondary[p].re - secondary[(p + 2) % 3].re) / turns
        lines[p].im = (secondary[p].im - secondary[(p + 2) % 3].im) / turns
        lines[p] = _rotated(lines[p], 1)


cdef inline bint _is_of(Kernel site, int i, bint discharge) noexcept nogil:
    return (site.discharge_max[i] > 0.0) == discharge


cdef int _verify_setpoints(Kernel site) except -1 nogil:
    cdef int i, k
    cdef double x, off, slack, low, high
    cdef bint listed
    for i in range(site.evse_count):
        x = site.setpoint[i]
        low = site.minimum[i]
        high = site.maximum[i]
        if site.discharge_max[i] > 0.0:
            x = -x
            low = site.discharge_min[i]
            high = site.discharge_max[i]
        site.bad_index = i
        if not site.admitted[i]:
            if x != site.pause[i]:
                return S_SETPOINT_OUTSIDE
            continue
        if not low - SAME_A <= x <= high + SAME_A:
            return S_SETPOINT_OUTSIDE
        if site.allowed_start[i + 1] > site.allowed_start[i]:
            listed = False
            for k in range(site.allowed_start[i], site.allowed_start[i + 1]):
                if x == site.allowed[k]:
                    listed = True
            if not listed:
                return S_SETPOINT_OUTSIDE
        elif site.step[i] > 0.0:
            off = x - site.step[i] * <double><long long>(x / site.step[i] + 0.5)
            slack = SAME_A + ROW_SLACK_RELATIVE * x
            if not -slack <= off <= slack:
                return S_SETPOINT_OUTSIDE
    return S_DONE


cdef int _verify_rows(Kernel site, bint discharge) except -1 nogil:
    if site.curved_count:
        _gather(site, discharge)
        return _verify_gathered(site, discharge)
    return _verify_sums(site, discharge)


cdef int _verify_sums(Kernel site, bint discharge) except -1 nogil:
    """Where there are no phasors: amounts of current add up."""
    cdef int i, k, p, m = site.node_count, node, up
    cdef double room, va, loading, sign = -1.0 if discharge else 1.0
    cdef const double[::1] ceiling = site.export_ceiling if discharge else site.ceiling
    if site.unbalance_count and not _verify_unbalance(site):
        return S_ROW_EXCEEDED
    for i in range(6 * m):
        site.work[i] = 0.0
    for i in range(site.evse_count):
        if not _is_of(site, i, discharge):
            continue
        node = site.outer_evse_node[i]
        for p in range(3):
            if site.outer_evse_phases[i] & (1 << p):
                site.work[6 * node + p] += sign * site.setpoint[i]
                site.work[6 * node + 3 + p] += site.admitted[i]
    for k in range(m):
        node = site.leaves_first[k]
        up = site.outer_parent[node]
        va = loading = 0.0
        site.bad_index = node
        for p in range(3):
            if up >= 0:
                site.work[6 * up + p] += site.work[6 * node + p]
                site.work[6 * up + 3 + p] += site.work[6 * node + 3 + p]
            va += site.voltage[3 * node + p] * site.work[6 * node + p]
            loading += site.voltage[3 * node + p] * site.work[6 * node + 3 + p]
            room = max(0.0, ceiling[4 * node + p] - sign * site.base[4 * node + p])
            if site.work[6 * node + 3 + p] > 0.0 and _exceeds(site.work[6 * node + p], room):
                return S_ROW_EXCEEDED
        room = max(0.0, ceiling[4 * node + 3] - sign * site.base[4 * node + 3])
        if loading > 0.0 and _exceeds(va, room):
            return S_ROW_EXCEEDED
    return S_DONE


cdef bint _verify_unbalance(Kernel site) except -1 nogil:
    """Whether no two phases are farther apart than they may be, or than they were without anybody.

    In both directions together, and for those that charge alone.
    """
    cdef int i, k, p, q, node, up, alone
    cdef double before, after, x
    for alone in range(2):
        for i in range(6 * site.node_count):
            site.work[i] = 0.0
        for i in range(site.evse_count):
            x = max(0.0, site.setpoint[i]) if alone else site.setpoint[i]
            node = site.outer_evse_node[i]
            for p in range(3):
                if site.outer_evse_phases[i] >> p & 1:
                    site.work[6 * node + p] += x
                    if not site.admitted[i]:
                        site.work[6 * node + 3 + p] += x
        for k in range(site.node_count):
            node = site.leaves_first[k]
            up = site.outer_parent[node]
            site.bad_index = node
            for p in range(3):
                if up >= 0:
                    site.work[6 * up + p] += site.work[6 * node + p]
                    site.work[6 * up + 3 + p] += site.work[6 * node + 3 + p]
            if site.unbalance[node] == INFINITY:
                continue
            for p in range(3):
                for q in range(3):
                    before = site.base[4 * node + p] - site.base[4 * node + q]
                    after = before + site.work[6 * node + p] - site.work[6 * node + q]
                    before += max(0.0, site.work[6 * node + 3 + p] - site.work[6 * node + 3 + q])
                    if _exceeds(after, max(site.unbalance[node], before)):
                        return False
    return True


cdef int _gather(Kernel site, bint discharge) except -1 nogil:
    """Gather what every EVSE draws on the lines of every node above it, by direction.

    A phase at a time: a vehicle may leave out some, and single loads keep to twelfths of a turn.
    """
    cdef int i, p, next_
    cdef Phasor[3] lines
    for i in range(GATHERED * (site.node_count + site.transformer_count)):
        site.work[i] = 0.0
    for i in range(site.evse_count):
        if not _is_of(site, i, discharge):
            continue
        for p in range(3):
            next_ = (p + 1) % 3
            lines[0] = lines[1] = lines[2] = _phasor(0, 0.0)
            if site.outer_evse_delta[i]:
                if site.outer_evse_phases[i] == (1 << p | 1 << next_):
                    lines[p] = _phasor(PAIR_ANGLE[p], 1.0)
                    lines[next_] = _phasor(PAIR_ANGLE[p] + 6, 1.0)
                    _gather_upwards(site, i, lines, discharge)
            elif site.outer_evse_phases[i] >> p & 1:
                lines[p] = _phasor(LINE_ANGLE[p], 1.0)
                _gather_upwards(site, i, lines, discharge)
    return 0


cdef int _gather_upwards(Kernel site, int i, Phasor* lines, bint discharge) except -1 nogil:
    cdef int at = site.outer_evse_node[i]
    cdef double current = -site.setpoint[i] if discharge else site.setpoint[i]
    while at >= 0:
        if at >= site.node_count:
            _to_primary(lines, site.turns[site.side_of[at]])
        _gather_at(site, at, lines, current, site.admitted[i])
        at = site.full_parent[at]
    return 0


cdef int _gather_at(
    Kernel site, int at, Phasor* lines, double current, bint admitted
) except -1 nogil:
    cdef int p, k, best
    cdef double amount, along, most
    cdef Phasor one
    for p in range(3):
        one = _rotated(lines[p], 12 - LINE_ANGLE[p])
        amount = sqrt(one.re * one.re + one.im * one.im)
        if amount < 1e-9:
            continue
        best = 0
        most = -INFINITY
        for k in range(12):
            along = one.re * COSINES[k] + one.im * COSINES[(k + 9) % 12]
            if along > most:
                most = along
                best = k
        site.work[GATHERED * at + 12 * p + best] += amount * current
        site.work[GATHERED * at + GATHERED_ANY + p] += admitted
        if at < site.node_count:
            # Power: the current in phase with the line's voltage.
            site.work[GATHERED * at + GATHERED_VA] += (
                site.voltage[3 * at + p] * one.re * current
            )
            if site.voltage[3 * at + p] > 0.0:
                site.work[GATHERED * at + GATHERED_ANY + 3] += admitted
    return 0


cdef int _verify_gathered(Kernel site, bint discharge) except -1 nogil:
    cdef int at, p, outer
    cdef double ceiling, room, sign = -1.0 if discharge else 1.0
    cdef Phasor[3] base
    cdef const double[::1] ceilings = site.export_ceiling if discharge else site.ceiling
    for at in range(site.node_count + site.transformer_count):
        outer = site.side_of[at]
        site.bad_index = outer
        for p in range(3):
            base[p] = _phasor(LINE_ANGLE[p], sign * site.base[4 * outer + p])
        if at >= site.node_count:
            _to_primary(base, site.turns[outer])
        for p in range(3):
            ceiling = ceilings[4 * outer + p]
            if at >= site.node_count:
                ceiling = site.primary_ceiling[3 * outer + p]
            base[p] = _rotated(base[p], 12 - LINE_ANGLE[p])
            if (
                site.work[GATHERED * at + GATHERED_ANY + p] > 0.0
                and ceiling < INFINITY
                and not _holds(&site.work[GATHERED * at + 12 * p], base[p], ceiling)
            ):
                return S_ROW_EXCEEDED
        if at < site.node_count and site.work[GATHERED * at + GATHERED_ANY + 3] > 0.0:
            room = max(0.0, ceilings[4 * at + 3] - sign * site.base[4 * at + 3])
            if _exceeds(site.work[GATHERED * at + GATHERED_VA], room):
                return S_ROW_EXCEEDED
    return S_DONE


cdef bint _holds(double* gathered, Phasor base, double ceiling) noexcept nogil:
    """Whether a line holds for every draw: who is within 90 degrees of a direction draws fully."""
    cdef int k, j
    cdef Phasor total
    if _imported(base) > ceiling:
        for k in range(12):
            if _exceeds(gathered[k], 0.0):
                return False
        return True
    for k in range(12):
        total = base
        for j in range(k + 10, k + 16):
            total.re += gathered[j % 12] * COSINES[j % 12]
            total.im += gathered[j % 12] * COSINES[(j + 9) % 12]
        if _exceeds(_imported(total), ceiling):
            return False
    return True


cdef inline double _imported(Phasor line) noexcept nogil:
    """The magnitude without what flows back in phase with the voltage."""
    return sqrt(max(0.0, line.re) * max(0.0, line.re) + line.im * line.im)
