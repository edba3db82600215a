# One tick: tier after tier, then the output.


cdef int _solve(Kernel site, bint discharge) except -1 nogil:
    """Allocate to those who charge, or, in the mirror, to those who discharge."""
    cdef int status
    cdef double sign = -1.0 if discharge else 1.0
    if discharge:
        _take_nodes(site, site.export_ceiling, site.base, site.voltage, sign)
    else:
        _take_nodes(site, site.ceiling, site.base, site.voltage, sign)
    status = _take_evses(
        site,
        site.weight,
        site.tier,
        site.discharge_min if discharge else site.minimum,
        site.discharge_max if discharge else site.maximum,
        site.step,
        site.pause,
        site.allowed_start,
        site.allowed,
        discharge,
    )
    if status == S_DONE:
        status = _take_queue(site, site.order)
    if status == S_DONE:
        _keep_orders(site, discharge)
        _allocate(site, site.allowed)
        _give(
            site,
            site.setpoint,
            site.admitted,
            site.code,
            site.stop_node,
            site.stop_row,
            sign,
        )
        _give_deficits(site, discharge)
    return status


cdef int _allocate(Kernel site, const double[::1] allowed) except -1 nogil:
    cdef int tier, begin, end
    for tier in range(site.tier_count):
        begin = site.tier_start[tier]
        end = site.tier_start[tier + 1]
        if begin < end and _admit(site, begin, end):
            _fill(site, begin, end)
            if site.unbalance_count:
                _fill_balanced(site, begin, end)
            _round_down(site, begin, end, allowed)
            _sum_loads(site)
            if site.unbalance_count:
                _round_further(site, begin, end, allowed)
            _hand_out(site, begin, end, allowed)
            _name_stops(site, begin, end)
    return 0


cdef inline int _told_row(Place* place, int row) noexcept nogil:
    """A row as it is told: lines, the sum in VA, primary lines, greater phases of unbalance."""
    if row >= UNBALANCE_ROW:
        return 7 + (row - UNBALANCE_ROW) // 2
    if row == CURVED_VA:
        return STRAIGHT_VA
    if row >= CURVED_LINE and not place.primary:
        return row - CURVED_LINE
    return row


cdef int _give_deficits(Kernel site, bint discharge) except -1 nogil:
    """By how much base load alone is above ceilings; of primary sides as an import."""
    cdef int i, p
    cdef double ahead, behind
    if discharge:
        for i in range(4 * site.node_count):
            site.export_deficit[i] = max(0.0, -site.base[i] - site.export_ceiling[i])
        return 0
    for i in range(4 * site.node_count):
        site.deficit[i] = max(0.0, site.base[i] - site.ceiling[i])
        site.export_deficit[i] = 0.0
    if not site.transformer_count:
        return 0
    for i in range(site.node_count):
        for p in range(3):
            site.primary_deficit[3 * i + p] = 0.0
            if site.turns[i] > 0.0:
                ahead = site.base[4 * i + p] / site.turns[i]
                behind = site.base[4 * i + (p + 2) % 3] / site.turns[i]
                site.primary_deficit[3 * i + p] = max(
                    0.0,
                    _import(COS_30 * (ahead + behind), 0.5 * (ahead - behind))
                    - site.primary_ceiling[3 * i + p],
                )
    return 0


cdef int _give(
    Kernel site,
    double[::1] setpoint,
    int[::1] admitted,
    int[::1] code,
    int[::1] stop_node,
    int[::1] stop_row,
    double sign,
) except -1 nogil:
    cdef int i
    cdef double value
    cdef Evse* evse
    cdef Increments* own
    for i in range(site.evse_count):
        evse = &site.evses[i]
        if evse.code == C_ELSEWHERE:
            continue
        value = evse.value
        own = &site.increments[i]
        if own.kind == STEPPED and evse.admitted:
            value = _decimal(own)
        # Nothing is plain 0, whatever its direction.
        setpoint[evse.outer] = sign * value if value > 0.0 else 0.0
        admitted[evse.outer] = evse.admitted
        code[evse.outer] = evse.code
        stop_node[evse.outer] = -1
        stop_row[evse.outer] = -1
        if evse.stop_node >= 0:
            stop_node[evse.outer] = site.places[evse.stop_node].outer
            stop_row[evse.outer] = _told_row(&site.places[evse.stop_node], evse.stop_row)
    return 0
