# Rounding down to allowed currents, handing out what that cost, and naming stops.


cdef inline double _decimal(Increments* own) noexcept nogil:
    """The current of a number of steps; ten steps to the ampere give 0.3 and not 3 * 0.1."""
    cdef double whole = <double><long long>(own.per_ampere + 0.5)
    if whole > 0.0 and -1e-12 <= whole * own.step - 1.0 <= 1e-12:
        return <double>own.count / whole
    return <double>own.count * own.step


cdef int _round_down(Kernel site, int begin, int end, const double[::1] allowed) except -1 nogil:
    """Set `value` to the greatest allowed current up to `filled`; `lost` is the difference."""
    cdef int k, i
    cdef Evse* evse
    cdef Increments* own
    for k in range(begin, end):
        i = site.roster[k]
        evse = &site.evses[i]
        own = &site.increments[i]
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
            _stand_on_list(site, evse, own, allowed)
        own.lost = max(0.0, evse.filled - evse.value)
    return 0


cdef int _stand_on_list(
    Kernel site, Evse* evse, Increments* own, const double[::1] allowed
) except -1 nogil:
    evse.value = allowed[own.list_start + own.count]
    if own.count < own.greatest:
        own.rise = allowed[own.list_start + own.count + 1] - evse.value
    return 0


cdef int _hand_out(Kernel site, int begin, int end, const double[::1] allowed) except -1 nogil:
    """Give one increment a sweep, largest remainder first, to all whom it fits, until none."""
    cdef int k, i, count = 0, left, handed
    cdef bint patient = site.unbalance_count > 0
    cdef double rise
    cdef Evse* evse
    cdef Increments* own
    # Backwards, so that reading the sorted list backwards leaves ties in queue order.
    for k in range(end - 1, begin - 1, -1):
        i = site.queue[k]
        evse = &site.evses[i]
        own = &site.increments[i]
        if not evse.admitted or own.kind == CONTINUOUS or own.count == own.greatest:
            continue
        # Nothing gets lighter while increments are handed out: who is refused stays refused. Only
        # the difference of two phases does.
        if site.unbalance_count or not _is_refused_at_stop(site, evse, own):
            # In whole nA, so that noise does not part what is equal.
            site.remainders[count].level = <double><long long>(own.lost * 1e9 + 0.5)
            site.remainders[count].index = i
            count += 1
    _sort(site, site.remainders, count)
    for k in range(count):
        site.candidates[k] = site.remainders[count - 1 - k].index
    while count:
        left = handed = 0
        for k in range(count):
            i = site.candidates[k]
            evse = &site.evses[i]
            own = &site.increments[i]
            if not patient and _is_refused_at_stop(site, evse, own):
                continue
            rise = own.rise
            own.refuser = _refusal(site, evse, rise)
            if own.refuser >= 0:
                if patient:
                    site.candidates[left] = i
                    left += 1
                continue
            handed += 1
            _add(site, evse, rise)
            own.count += 1
            if own.kind == STEPPED:
                evse.value = <double>own.count * own.step
            else:
                _stand_on_list(site, evse, own, allowed)
            if own.count < own.greatest:
                site.candidates[left] = i
                left += 1
        count = left if handed else 0
    return 0


cdef inline bint _is_refused_at_stop(Kernel site, Evse* evse, Increments* own) except -1 nogil:
    """Whether the row that stopped the filling, the likeliest one, has no room for a step."""
    cdef Node* node
    if evse.stop_node < 0:
        return False
    own.refuser = ROWS_PER_NODE * evse.stop_node + evse.stop_row
    node = &site.nodes[evse.stop_node]
    if evse.stop_row < STRAIGHT_VA:
        return node.load[evse.stop_row] + own.rise > node.bound[evse.stop_row]
    if evse.stop_row == STRAIGHT_VA:
        return _refusing_rows(node, evse.phases, own.rise) >> STRAIGHT_VA & 1
    return _is_refused_at_curved(site, evse, own.rise)


cdef int _name_stops(Kernel site, int begin, int end) except -1 nogil:
    """Correct the reasons of the filling by what rounding and handing out made of it."""
    cdef int k, i
    cdef double moved
    cdef Evse* evse
    cdef Increments* own
    for k in range(begin, end):
        i = site.roster[k]
        evse = &site.evses[i]
        own = &site.increments[i]
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
                evse.stop_node = own.refuser // ROWS_PER_NODE
                evse.stop_row = own.refuser % ROWS_PER_NODE
    return 0
