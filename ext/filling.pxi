# Weighted max-min filling: the level rises from event to event.


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


cdef inline int _stop(Kernel site, Evse* evse, double value) except -1 nogil:
    """Let an EVSE stand at `value` and note what that changes above it."""
    cdef double fixed = value
    cdef long long moving = -evse.quanta, resting = 0
    if evse.doing == RESTING:
        fixed -= evse.lower
        resting = moving
        moving = 0
    _note(&site.change, evse.phases, fixed, moving, resting)
    if evse.entry >= 0:
        _curved_change(site, evse, fixed, moving, resting)
    evse.doing = STANDING
    evse.filled = evse.value = value
    if site.uneven and evse.weight * UNEVEN >= site.heaviest:
        site.heavy_left -= 1
    return 0


cdef int _fill(Kernel site, int begin, int end) except -1 nogil:
    """Raise the level until everybody in roster[begin:end] stands; sets `filled` and stops."""
    cdef int i, k, node, next_start, next_cap = begin
    cdef double level, level_cap
    level = 0.0 if site.uneven else _free_level(site, begin, end)
    _take_to(site, begin, end, level)
    next_start = _next_start(site, begin, end)
    site.heavy_left = 0
    if not site.uneven:
        site.heavy_left = 1
        _sum_members(site)
        _build_heap(site)
    while True:
        if not site.heavy_left and not _count_anew(site, begin, end):
            break
        if not site.heap_count:
            break
        while (
            next_cap < end
            and site.evses[site.caps[next_cap].index].doing == STANDING
        ):
            next_cap += 1
        if next_cap == end:
            break
        level_cap = site.caps[next_cap].level
        if site.next_start <= level_cap and site.next_start <= site.heap[0].level:
            level = site.next_start
            next_start = _start(site, next_start, end)
        elif level_cap <= site.heap[0].level:
            level = level_cap
            next_cap = _cap(site, next_cap, end)
        else:
            node = site.heap[0].index
            _compute_key(site, node)
            if (
                site.key_exact
                and site.key < site.next_start
                and site.key < level_cap
                and site.key <= _second_key(site)
            ):
                level = max(level, site.key)
                if site.key_row <= STRAIGHT_VA:
                    _stop_row(site, node, site.key_row, level)
                else:
                    _stop_curved(site, node, site.key_row, site.key_corner, level)
                _compute_key(site, node)
            _replace_top(site, max(site.key, level))
    # No row is left that could be full: the others reach their upper bounds.
    for k in range(begin, end):
        i = site.roster[k]
        if site.evses[i].doing != STANDING:
            site.evses[i].doing = STANDING
            site.evses[i].filled = site.evses[i].upper
    return 0


cdef int _count_anew(Kernel site, int begin, int end) except -1 nogil:
    """Count weights for those who still move or rest: among them the sums are exact again.

    The heavy ones have stopped, and what their weights left of the quantum's range is free. Returns
    how many are left.
    """
    cdef int k, left = 0
    cdef double heaviest = 0.0
    cdef Evse* evse
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.doing != STANDING:
            heaviest = max(heaviest, evse.weight)
            left += 1
    if not left:
        return 0
    _count_weights(site, heaviest)
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.doing != STANDING and evse.weight * UNEVEN >= heaviest:
            site.heavy_left += 1
    _sum_members(site)
    _build_heap(site)
    return left


cdef double _free_level(Kernel site, int begin, int end) except -1.0 nogil:
    """A level up to which no row is full, even if all rose from their lower bounds at once."""
    cdef int i, k, p
    cdef double level = INFINITY, weight, va_weight, room
    cdef Evse* evse
    cdef Fill* fill
    cdef Fill* up
    cdef Node* node
    for i in range(site.live_count):
        memset(&site.fills[i].resting[0], 0, 4 * sizeof(long long))
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.admitted:
            fill = &site.fills[evse.node]
            for p in range(4):
                fill.resting[p] += evse.quanta & -<long long>(evse.phases >> p & 1)
    for i in range(site.live_count - 1, -1, -1):
        node = &site.nodes[i]
        fill = &site.fills[i]
        room = node.headroom[3]
        va_weight = 0.0
        for p in range(3):
            weight = <double>fill.resting[p] * site.quantum
            if weight * level > node.headroom[p] - node.load[p]:
                level = (node.headroom[p] - node.load[p]) / weight
            room -= node.voltage[p] * node.load[p]
            va_weight += node.voltage[p] * weight
        if va_weight * level > room:
            level = room / va_weight
        if node.up >= 0:
            up = &site.fills[node.up]
            for p in range(4):
                up.resting[p] += fill.resting[p]
    if site.curved_count:
        level = _curved_free_level(site, begin, end, level)
    return max(0.0, level)


cdef int _take_to(Kernel site, int begin, int end, double level) except -1 nogil:
    """Take everybody who is admitted to `level`."""
    cdef int k, i, first = site.orders_first
    cdef Evse* evse
    for k in range(begin, end):
        i = site.roster[k]
        evse = &site.evses[i]
        if not evse.admitted:
            continue
        if site.cap_levels[first + i] <= level:
            evse.doing = STANDING
            evse.filled = evse.value = evse.upper
        elif site.start_levels[first + i] <= level:
            evse.doing = MOVING
        else:
            evse.doing = RESTING
    return 0


cdef int _sum_members(Kernel site) except -1 nogil:
    """Set up per node the fixed load, the weights and the rows that can be full at all."""
    cdef int i, p
    cdef double fixed, most
    cdef double* loads
    cdef Evse* evse
    cdef Fill* fill
    memset(&site.fills[0], 0, site.live_count * sizeof(Fill))
    for i in range(site.evse_count):
        evse = &site.evses[i]
        fill = &site.fills[evse.node]
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
    for i in range(site.live_count - 1, -1, -1):
        _sum_children(site, i)
    if site.curved_count:
        _curved_sum_members(site)
    return 0


cdef int _sum_children(Kernel site, int at) except -1 nogil:
    """Find the rows of a node that can be full, and add the node to its parent."""
    cdef int p
    cdef double most, va = 0.0
    cdef Node* node = &site.nodes[at]
    cdef Fill* fill = &site.fills[at]
    cdef Fill* up = &site.fills[node.up] if node.up >= 0 else NULL
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


cdef int _compute_key(Kernel site, int at) except -1 nogil:
    """Set `key` to a lower bound of the level at which a row of the node is full."""
    cdef int p
    cdef double moving, resting
    cdef double va_fixed = 0.0, va_moving = 0.0, va_resting = 0.0
    cdef Node* node = &site.nodes[at]
    cdef Fill* fill = &site.fills[at]
    site.key = INFINITY
    site.key_exact = False
    for p in range(3):
        moving = <double>fill.moving[p] * site.quantum
        resting = <double>fill.resting[p] * site.quantum
        if fill.rows & (1 << p):
            _consider(site, p, node.headroom[p] - fill.fixed[p], moving, resting)
        va_fixed += node.voltage[p] * fill.fixed[p]
        va_moving += node.voltage[p] * moving
        va_resting += node.voltage[p] * resting
    if fill.rows & 8:
        _consider(site, 3, node.headroom[3] - va_fixed, va_moving, va_resting)
    if fill.rows > 15:
        _curved_key(site, at, fill.rows)
    return 0


cdef inline int _consider(
    Kernel site, int row, double room, double moving, double resting
) except -1 nogil:
    """Lower `key` to the level at which a row with `room` beside its fixed load is full."""
    cdef double level = INFINITY
    cdef bint exact = True
    if moving + resting == 0.0:
        return 0
    if moving > 0.0:
        level = room / moving
    if level > site.next_start:
        exact = False
        level = site.next_start
        level = max(level, level + (room - moving * level) / (moving + resting))
    if level < site.key:
        site.key = level
        site.key_row = row
        site.key_exact = exact
    return 0


cdef int _next_start(Kernel site, int k, int end) except -1 nogil:
    """Pass over those who do not rest; sets the level at which the next one starts."""
    while k < end and site.evses[site.starts[k].index].doing != RESTING:
        k += 1
    site.next_start = site.starts[k].level if k < end else INFINITY
    return k


cdef int _start(Kernel site, int k, int end) except -1 nogil:
    """Let those of one node that start at the same level start; returns whose turn is next."""
    cdef int at = site.evses[site.starts[k].index].node
    cdef double level = site.starts[k].level
    cdef Evse* evse
    while k < end and site.starts[k].level == level:
        evse = &site.evses[site.starts[k].index]
        if evse.doing == RESTING:
            if evse.node != at:
                break
            evse.doing = MOVING
            _note(&site.change, evse.phases, -evse.lower, evse.quanta, -evse.quanta)
            if evse.entry >= 0:
                _curved_change(site, evse, -evse.lower, evse.quanta, -evse.quanta)
        k += 1
    _apply_change(site, at)
    return _next_start(site, k, end)


cdef int _cap(Kernel site, int k, int end) except -1 nogil:
    """Stop those of one node that are full at the same level; returns whose turn is next."""
    cdef int at = site.evses[site.caps[k].index].node
    cdef double level = site.caps[k].level
    cdef Evse* evse
    while k < end and site.caps[k].level == level:
        evse = &site.evses[site.caps[k].index]
        if evse.doing != STANDING:
            if evse.node != at:
                break
            _stop(site, evse, evse.upper)
        k += 1
    _apply_change(site, at)
    return k


cdef int _stop_row(Kernel site, int node, int row, double level) except -1 nogil:
    """Stop everybody who loads a full row."""
    cdef int i, p, at = -1, phases = 0, code = C_NODE_CEILING
    cdef double value
    cdef Evse* evse
    if row < 3:
        phases = 1 << row
    else:
        code = C_VA_CEILING
        for p in range(3):
            if site.nodes[node].voltage[p] > 0.0:
                phases |= 1 << p
    if site.nodes[node].deficit_rows & (1 << row):
        code = C_BASE_OVER_CEILING
    site.fills[node].rows &= ~(1 << row)
    for i in range(site.nodes[node].first, site.nodes[node].last):
        evse = &site.evses[i]
        if evse.doing == STANDING or not evse.phases & phases:
            continue
        if evse.node != at:
            if at >= 0:
                _apply_change(site, at)
            at = evse.node
        value = evse.lower
        if evse.doing == MOVING:
            value = min(max(evse.weight * level, value), evse.upper)
        _stop(site, evse, value)
        evse.code = code
        evse.stop_node = node
        evse.stop_row = row
    if at >= 0:
        _apply_change(site, at)
    return 0


cdef int _apply_change(Kernel site, int at) except -1 nogil:
    """Carry what was noted from a node up to the root."""
    cdef int p
    cdef Fill* fill
    cdef Change change = site.change
    while at >= 0:
        fill = &site.fills[at]
        for p in range(4):
            fill.fixed[p] += change.fixed[p]
            fill.moving[p] += change.moving[p]
            fill.resting[p] += change.resting[p]
        at = site.nodes[at].up
    memset(&site.change, 0, sizeof(Change))
    return 0
