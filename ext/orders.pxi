# The orders in which EVSEs start to move and reach their upper bounds, kept between ticks.
#
# An order is by level, then by EVSE, so that there is only one: whatever was sorted before, a used
# kernel answers bit for bit as a fresh one does. Who has another level than in the tick before is
# taken out, sorted and merged in again; where those are many, all are sorted afresh. Every EVSE is
# in both orders, whether it is admitted or not: the filling passes over those who stand.

# Where more than one in so many moved all are sorted afresh.
cdef int MANY_MOVED = 4


cdef int _keep_orders(Kernel site, bint discharge) except -1 nogil:
    """Put both orders of this direction right, and part them by tier into `starts` and `caps`."""
    cdef int n = site.evse_count, i, first = n if discharge else 0
    cdef int starts_moved = 0, caps_moved = 0
    cdef double start, cap, per_weight
    cdef Evse* evse
    if not n:
        return 0
    site.orders_first = first
    for i in range(n):
        evse = &site.evses[i]
        start = cap = INFINITY
        if site.increments[i].least <= site.increments[i].greatest:
            per_weight = 1.0 / evse.weight
            # A bound of -0.0 has other bits than 0.0, which is what sorting looks at.
            start = evse.lower * per_weight + 0.0
            cap = evse.upper * per_weight + 0.0
        if start != site.start_levels[first + i]:
            site.start_levels[first + i] = start
            site.starts[starts_moved].level = start
            site.starts[starts_moved].index = i
            starts_moved += 1
        if cap != site.cap_levels[first + i]:
            site.cap_levels[first + i] = cap
            site.caps[caps_moved].level = cap
            site.caps[caps_moved].index = i
            caps_moved += 1
    _put_in_order(
        site,
        site.starts_kept[first:first + n],
        site.start_levels[first:first + n],
        site.starts,
        starts_moved,
    )
    _put_in_order(
        site,
        site.caps_kept[first:first + n],
        site.cap_levels[first:first + n],
        site.caps,
        caps_moved,
    )
    _part_by_tier(site, site.starts_kept[first:first + n], site.starts)
    _part_by_tier(site, site.caps_kept[first:first + n], site.caps)
    return 0


cdef int _put_in_order(
    Kernel site, Event[::1] kept, const double[::1] levels, Event[::1] moved, int count
) except -1 nogil:
    """Mend an order after `count` EVSEs, in `moved` by number, have got other levels."""
    cdef int n = site.evse_count, k, last
    if not count:
        return 0
    if count > n // MANY_MOVED:
        for k in range(n):
            kept[k].level = levels[k]
            kept[k].index = k
        _sort(site, kept, n)
        return 0
    _sort(site, moved, count)
    # Those who are left are in order among each other: their levels are what they were.
    last = -1
    for k in range(n):
        if kept[k].level == levels[kept[k].index]:
            last += 1
            kept[last] = kept[k]
    for k in range(n - 1, -1, -1):
        if not count:
            break
        if last >= 0 and _is_later(&kept[last], &moved[count - 1]):
            kept[k] = kept[last]
            last -= 1
        else:
            kept[k] = moved[count - 1]
            count -= 1
    return 0


cdef inline bint _is_later(Event* a, Event* b) noexcept nogil:
    return a.level > b.level or (a.level == b.level and a.index > b.index)


cdef int _part_by_tier(Kernel site, const Event[::1] kept, Event[::1] parted) except -1 nogil:
    """Give every tier its part of an order, where `roster` has it."""
    cdef int n = site.evse_count, k, tier
    if site.tier_count == 1:
        memcpy(&parted[0], &kept[0], n * sizeof(Event))
        return 0
    for tier in range(site.tier_count):
        site.tier_fill[tier] = site.tier_start[tier]
    for k in range(n):
        tier = site.increments[kept[k].index].tier
        parted[site.tier_fill[tier]] = kept[k]
        site.tier_fill[tier] += 1
    return 0
