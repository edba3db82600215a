# The check afterwards: from the arrays of the caller alone, by code of its own.


cdef inline bint _exceeds(double load, double room) noexcept nogil:
    return load > room + (VERIFY_SLACK + VERIFY_SLACK_RELATIVE * room)


cdef int _verify_setpoints(Kernel site) except -1 nogil:
    cdef int i, k
    cdef double x, off, slack
    cdef bint listed
    for i in range(site.evse_count):
        x = site.setpoint[i]
        site.bad_index = i
        if not site.admitted[i]:
            if x != site.pause[i]:
                return S_SETPOINT_OUTSIDE
            continue
        if not site.minimum[i] - SAME_A <= x <= site.maximum[i] + SAME_A:
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


cdef int _verify_rows(Kernel site) except -1 nogil:
    cdef int i, k, p, m = site.node_count, node, up
    cdef double room, va, loading
    for i in range(6 * m):
        site.work[i] = 0.0
    for i in range(site.evse_count):
        node = site.outer_evse_node[i]
        for p in range(3):
            if site.outer_evse_phases[i] & (1 << p):
                site.work[6 * node + p] += site.setpoint[i]
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
            room = max(0.0, site.ceiling[4 * node + p] - site.base[4 * node + p])
            if site.work[6 * node + 3 + p] > 0.0 and _exceeds(site.work[6 * node + p], room):
                return S_ROW_EXCEEDED
        room = max(0.0, site.ceiling[4 * node + 3] - site.base[4 * node + 3])
        if loading > 0.0 and _exceeds(va, room):
            return S_ROW_EXCEEDED
    return S_DONE
