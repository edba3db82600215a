# One tick: tier after tier, then the output.


cdef int _allocate(Kernel site, const double[::1] allowed) except -1 nogil:
    cdef int tier, begin, end
    for tier in range(site.tier_count):
        begin = site.tier_start[tier]
        end = site.tier_start[tier + 1]
        if begin < end and _admit(site, begin, end):
            _fill(site, begin, end)
            _round_down(site, begin, end, allowed)
            _sum_loads(site)
            _hand_out(site, begin, end, allowed)
            _name_stops(site, begin, end)
    return 0


cdef int _give(
    Kernel site,
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
    for i in range(4 * site.node_count):
        deficit[i] = max(0.0, base[i] - ceiling[i])
    for i in range(site.evse_count):
        evse = &site.evses[i]
        setpoint[evse.outer] = evse.value
        own = &site.increments[i]
        if own.kind == STEPPED and evse.admitted:
            setpoint[evse.outer] = _decimal(own)
        admitted[evse.outer] = evse.admitted
        code[evse.outer] = evse.code
        stop_node[evse.outer] = (
            site.nodes[evse.stop_node].outer if evse.stop_node >= 0 else -1
        )
        stop_row[evse.outer] = evse.stop_row
    return 0
