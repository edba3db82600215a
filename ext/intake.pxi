# Taking the input of a tick: every value checked, bounds taken to the allowed sets.


cdef inline bint _finite(double value) noexcept nogil:
    """Whether `value` is a number within the magnitude that the kernel takes."""
    return -C_MAGNITUDE_MAX <= value <= C_MAGNITUDE_MAX


cdef int _check_nodes(Kernel site) except -1 nogil:
    cdef int i, p, m = site.node_count
    cdef double limit
    for i in range(m):
        site.bad_index = i
        for p in range(4):
            limit = site.ceiling[4 * i + p]
            if not (_finite(limit) or limit == INFINITY) or not _finite(site.base[4 * i + p]):
                return S_BAD_NODE
        for p in range(3):
            if not 0.0 <= site.voltage[3 * i + p] <= C_MAGNITUDE_MAX:
                return S_BAD_NODE
    if site.transformer_count:
        for i in range(3 * m):
            site.bad_index = i // 3
            limit = site.primary_ceiling[i]
            if not (0.0 <= limit <= C_MAGNITUDE_MAX or limit == INFINITY):
                return S_BAD_NODE
    return S_DONE


cdef int _check_discharge(Kernel site) except -1 nogil:
    """Find out whether anybody discharges, and whether the values for that can be used."""
    cdef int i
    cdef double limit
    site.discharging = False
    for i in range(site.evse_count):
        if site.discharge_max[i] != 0.0 or site.discharge_min[i] != 0.0:
            site.discharging = True
            site.bad_index = i
            if (
                not 0.0 <= site.discharge_max[i] <= C_MAGNITUDE_MAX
                or not 0.0 <= site.discharge_min[i] <= C_MAGNITUDE_MAX
                or (site.discharge_max[i] > 0.0 and site.pause[i] != 0.0)
            ):
                return S_BAD_EVSE
    if site.discharging:
        for i in range(4 * site.node_count):
            site.bad_index = i // 4
            limit = site.export_ceiling[i]
            if not (0.0 <= limit <= C_MAGNITUDE_MAX or limit == INFINITY):
                return S_BAD_NODE
    return S_DONE


cdef int _take_nodes(
    Kernel site,
    const double[::1] ceiling,
    const double[::1] base,
    const double[::1] voltage,
    double sign,
) except -1 nogil:
    """Set the headroom of every row; `sign` is -1 for what is fed back."""
    cdef int i, p, outer
    cdef double room
    cdef Node* node
    for i in range(site.live_count):
        node = &site.nodes[i]
        outer = site.places[i].outer
        node.deficit_rows = 0
        for p in range(4):
            room = ceiling[4 * outer + p] - sign * base[4 * outer + p]
            if room < 0.0:
                node.deficit_rows |= 1 << p
                room = 0.0
            node.headroom[p] = room
            node.bound[p] = room + (ROW_SLACK + ROW_SLACK_RELATIVE * room)
        for p in range(3):
            node.voltage[p] = voltage[3 * outer + p]
    if site.curved_count:
        for i in range(site.live_count):
            if site.places[i].curved >= 0:
                _take_curved(site, i, ceiling, base, site.primary_ceiling, sign)
    if site.unbalance_count:
        _take_unbalance(site, sign)
    return 0


cdef int _take_evses(
    Kernel site,
    const double[::1] weight,
    const int[::1] tier,
    const double[::1] minimum,
    const double[::1] maximum,
    const double[::1] step,
    const double[::1] pause,
    const int[::1] allowed_start,
    const double[::1] allowed,
    bint discharge,
) except -1 nogil:
    """Take those who charge or those who discharge; the others have no part and no load."""
    cdef int i, outer, begin, end
    cdef double low, high, heaviest = 0.0, lightest = INFINITY
    cdef Evse* evse
    cdef Increments* own
    site.tier_count = 0
    for i in range(site.evse_count):
        evse = &site.evses[i]
        own = &site.increments[i]
        outer = evse.outer
        site.bad_index = outer
        low = minimum[outer]
        high = maximum[outer]
        begin = allowed_start[outer]
        end = allowed_start[outer + 1]
        evse.weight = weight[outer]
        own.pause = pause[outer]
        evse.value = own.pause
        own.step = step[outer]
        own.tier = tier[outer]
        own.list_start = begin
        own.code_at_top = C_OWN_MAXIMUM if high > 0.0 else C_NO_DEMAND
        if (
            not C_WEIGHT_MIN <= evse.weight <= C_WEIGHT_MAX
            or not 0 <= own.tier < site.evse_count
            or not 0.0 <= low <= C_MAGNITUDE_MAX
            or not 0.0 <= high <= C_MAGNITUDE_MAX
            or not 0.0 <= own.pause <= C_MAGNITUDE_MAX
            or not (own.step == 0.0 or C_STEP_MIN_A <= own.step <= C_MAGNITUDE_MAX)
        ):
            return S_BAD_EVSE
        heaviest = max(heaviest, evse.weight)
        lightest = min(lightest, evse.weight)
        site.tier_count = max(site.tier_count, own.tier + 1)
        evse.admitted = 0
        evse.doing = STANDING
        evse.code = own.code_at_top
        evse.stop_node = -1
        evse.stop_row = -1
        if end > begin:
            own.kind = LISTED
            _bound_by_list(site, i, low, high, end - begin, allowed)
        elif own.step > 0.0:
            own.kind = STEPPED
            _bound_by_step(site, i, low, high)
        else:
            own.kind = CONTINUOUS
            own.least = 0
            own.greatest = 0 if low <= high else -1
            evse.lower = low
            evse.upper = high
        if own.least > own.greatest and evse.code != C_NO_DEMAND:
            evse.code = C_NOT_ADMITTED
        if site.discharging and (site.discharge_max[outer] > 0.0) != discharge:
            own.least = 0
            own.greatest = -1
            own.pause = evse.value = 0.0
            evse.code = C_ELSEWHERE
    site.uneven = heaviest > UNEVEN * lightest
    _count_weights(site, heaviest)
    return S_DONE


cdef int _count_weights(Kernel site, double heaviest) except -1 nogil:
    """Set the quantum, so fine that the sum of all weights just fits, and count in it."""
    cdef int i
    cdef double finer = 1.0, all_heaviest = heaviest * site.evse_count * site.scale_max
    cdef Evse* evse
    while all_heaviest * finer > 2e18:
        finer *= 0.5
    while 0.0 < all_heaviest * finer <= 1e18:
        finer *= 2.0
    site.quantum = 1.0 / finer
    site.heaviest = heaviest
    for i in range(site.evse_count):
        evse = &site.evses[i]
        if evse.weight <= heaviest:
            evse.quanta = <long long>(evse.weight * finer + 0.5)
    return 0


cdef int _bound_by_list(
    Kernel site, int i, double low, double high, int length, const double[::1] allowed
) except -1 nogil:
    cdef Increments* own = &site.increments[i]
    cdef int begin = own.list_start, bottom = 0, top = length - 1
    while bottom < length and allowed[begin + bottom] < low - SAME_A:
        bottom += 1
    while top >= 0 and allowed[begin + top] > high + SAME_A:
        top -= 1
    own.least = bottom
    own.greatest = top
    if bottom <= top:
        site.evses[i].lower = allowed[begin + bottom]
        site.evses[i].upper = allowed[begin + top]
    return 0


cdef int _bound_by_step(Kernel site, int i, double low, double high) except -1 nogil:
    cdef Increments* own = &site.increments[i]
    own.per_ampere = 1.0 / own.step
    own.least = <long long>((low - SAME_A) * own.per_ampere)
    if <double>own.least * own.step < low - SAME_A:
        own.least += 1
    own.greatest = <long long>((high + SAME_A) * own.per_ampere)
    site.evses[i].lower = <double>own.least * own.step
    site.evses[i].upper = <double>own.greatest * own.step
    own.rise = own.step
    return 0


cdef int _take_queue(Kernel site, const int[::1] queue) except -1 nogil:
    """Check that `queue` is a permutation; sort it by tier, and all EVSEs into `roster`."""
    cdef int n = site.evse_count, i, k, tier
    memset(&site.seen[0], 0, n * sizeof(int))
    memset(&site.tier_start[0], 0, (n + 1) * sizeof(int))
    for k in range(n):
        i = queue[k]
        site.bad_index = k
        if not 0 <= i < n or site.seen[i]:
            return S_BAD_QUEUE
        site.seen[i] = 1
    if site.tier_count == 1:
        for k in range(n):
            site.queue[k] = site.evse_inner[queue[k]]
            site.roster[k] = k
        site.tier_start[1] = n
        return S_DONE
    for i in range(n):
        site.tier_start[site.increments[i].tier + 1] += 1
    for tier in range(site.tier_count):
        site.tier_start[tier + 1] += site.tier_start[tier]
        site.tier_fill[tier] = site.tier_start[tier]
    for k in range(n):
        i = site.evse_inner[queue[k]]
        tier = site.increments[i].tier
        site.queue[site.tier_fill[tier]] = i
        site.tier_fill[tier] += 1
    for tier in range(site.tier_count):
        site.tier_fill[tier] = site.tier_start[tier]
    for i in range(n):
        tier = site.increments[i].tier
        site.roster[site.tier_fill[tier]] = i
        site.tier_fill[tier] += 1
    return S_DONE
