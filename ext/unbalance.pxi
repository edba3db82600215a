# Unbalance ceilings: the difference of two phases of a node stays within a bound.
#
# Such a row falls when somebody on its lesser phase draws more, so that filling from event to event
# is not enough: who is stopped could have more if another, who relieves the row, rose ahead of the
# level. The answer is defined by max-min alone and found by a parametric simplex method. Its
# parameter is the level t. At every t all currents lie between max(lower, weight * t) and upper,
# and every row holds. Most EVSEs stand at that lower bound; those that relieve rows are in the
# basis, as many as there are tight rows, and are what makes these rows tight; some have reached
# their upper bound. When the level cannot rise without breaking a row or a bound, and no exchange
# helps, the row that says so (a combination of tight rows) proves who can never have more: those
# stop, and the level goes on for the others.
#
# The plain filling comes first: where its answer keeps every difference, it is the answer. There is
# room for a basis of BASIS_MAX; beyond it a row stops whoever raises it, which is safe and no
# longer exact. Complexity, in a basis of k: O(k (k + d) + M) for each event, and for each exchange
# O(N + M + k^3).

cdef enum:
    PAIRS = 6
    BASIS_MAX = 256

cdef double PIVOT_MIN = 1e-9
cdef double RATE_MIN = 1e-12


cdef inline int _second(int pair) noexcept nogil:
    """The lesser phase of a pair; the greater one is pair // 2."""
    return (pair // 2 + 1 + pair % 2) % 3


cdef inline double _difference(double* phases, int pair) noexcept nogil:
    return phases[pair // 2] - phases[_second(pair)]


cdef inline bint _raises_pair(int phases, int pair) noexcept nogil:
    return phases >> (pair // 2) & 1 and not phases >> _second(pair) & 1


cdef int _take_unbalance(Kernel site, double sign) except -1 nogil:
    """Set the room of every pair; where base load alone is beyond its bound there is none."""
    cdef int k, p, pair, outer
    cdef double ceiling, apart
    cdef Unbalance* one
    cdef double[4] base
    for k in range(site.unbalance_count):
        one = &site.unbalances[k]
        outer = site.places[one.at].outer
        ceiling = site.unbalance[outer]
        for p in range(3):
            base[p] = site.base[4 * outer + p]
            if sign < 0.0:
                # Setpoints hold it: what charges counts beside what is fed back.
                base[p] = -(base[p] + site.nodes[one.at].load[p])
        for pair in range(PAIRS):
            apart = _difference(base, pair)
            one.room[pair] = max(0.0, ceiling - apart)
            one.bound[pair] = one.room[pair] + (
                ROW_SLACK + ROW_SLACK_RELATIVE * (ceiling + one.room[pair])
            )
    return 0


cdef int _unbalance_refusal(Kernel site, Evse* evse, double more) except -2 nogil:
    """The nearest pair that an EVSE raises and that has no room for `more` A, coded, or -1."""
    cdef int k, pair, nearest = -1
    cdef Unbalance* one
    cdef Node* node
    for k in range(site.unbalance_count):
        one = &site.unbalances[k]
        node = &site.nodes[one.at]
        # Nodes nearer to the EVSE have higher numbers.
        if ROWS_PER_NODE * one.at <= nearest or not _is_under(site, evse, node):
            continue
        for pair in range(PAIRS):
            if (
                _raises_pair(evse.phases, pair)
                and _difference(node.load, pair) + more > one.bound[pair]
            ):
                nearest = ROWS_PER_NODE * one.at + UNBALANCE_ROW + pair
                break
    return nearest


cdef inline bint _is_under(Kernel site, Evse* evse, Node* node) noexcept nogil:
    return site.nodes[evse.node].first >= node.first and site.nodes[evse.node].last <= node.last


cdef bint _balanced(Kernel site) except -1 nogil:
    """Whether every pair holds what is loaded now."""
    cdef int k, pair
    cdef Unbalance* one
    for k in range(site.unbalance_count):
        one = &site.unbalances[k]
        for pair in range(PAIRS):
            if _difference(site.nodes[one.at].load, pair) > one.bound[pair]:
                return False
    return True


cdef int _fill_balanced(Kernel site, int begin, int end) except -1 nogil:
    """Fill so that every pair holds: as always if that does it, else by the simplex method."""
    cdef int k
    cdef Evse* evse
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.admitted:
            evse.value = evse.filled
    _sum_loads(site)
    if _balanced(site):
        return 0
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.admitted:
            evse.value = evse.lower
            evse.code = site.increments[site.roster[k]].code_at_top
            evse.stop_node = evse.stop_row = -1
    _sum_loads(site)
    _solve_simplex(site, begin, end)
    for k in range(begin, end):
        evse = &site.evses[site.roster[k]]
        if evse.admitted:
            evse.value = evse.filled
    return 0


cdef int _round_further(
    Kernel site, int begin, int end, const double[::1] allowed
) except -1 nogil:
    """Round the greater phase further down until every pair holds.

    One increment at a time: of those who raise the pair the one who has lost least, ties from the
    end of the queue. Where nobody has an increment left continuous ones give up the rest, all the
    same part of what they have above their minimum.
    """
    cdef int k, pair, which
    cdef double excess
    cdef bint again = True
    cdef Unbalance* one
    while again:
        again = False
        for k in range(site.unbalance_count - 1, -1, -1):
            one = &site.unbalances[k]
            for pair in range(PAIRS):
                while _difference(site.nodes[one.at].load, pair) > one.bound[pair]:
                    which = _who_gives(site, begin, end, one.at, pair)
                    if which >= 0:
                        _step_down(site, which, allowed)
                    else:
                        excess = _difference(site.nodes[one.at].load, pair) - one.room[pair]
                        if not _shrink(site, begin, end, one.at, pair, excess):
                            break
                    again = True
    return 0


cdef int _who_gives(Kernel site, int begin, int end, int at, int pair) except -2 nogil:
    cdef int i, k, best = -1
    cdef double lost, least = INFINITY
    cdef Evse* evse
    cdef Increments* own
    for k in range(begin, end):
        i = site.queue[k]
        evse = &site.evses[i]
        own = &site.increments[i]
        if (
            not evse.admitted
            or own.kind == CONTINUOUS
            or own.count == own.least
            or not _raises_pair(evse.phases, pair)
            or not _is_under(site, evse, &site.nodes[at])
        ):
            continue
        lost = <double><long long>(own.lost * 1e9 + 0.5)
        if lost <= least:
            least = lost
            best = i
    return best


cdef int _step_down(Kernel site, int i, const double[::1] allowed) except -1 nogil:
    cdef double before = site.evses[i].value
    cdef Evse* evse = &site.evses[i]
    cdef Increments* own = &site.increments[i]
    own.count -= 1
    if own.kind == STEPPED:
        evse.value = <double>own.count * own.step
    else:
        _stand_on_list(site, evse, own, allowed)
    own.lost += before - evse.value
    _add(site, evse, evse.value - before)
    return 0


cdef bint _shrink(
    Kernel site, int begin, int end, int at, int pair, double excess
) except -1 nogil:
    """Whether the continuous EVSEs who raise a pair could give up `excess`."""
    cdef int k
    cdef double above = 0.0, before
    cdef Evse* evse
    for k in range(begin, end):
        evse = &site.evses[site.queue[k]]
        if _is_continuous_riser(site, site.queue[k], at, pair):
            above += evse.value - evse.lower
    if above <= 0.0:
        return False
    for k in range(begin, end):
        evse = &site.evses[site.queue[k]]
        if _is_continuous_riser(site, site.queue[k], at, pair):
            before = evse.value
            evse.value = evse.lower + (before - evse.lower) * max(0.0, 1.0 - excess / above)
            _add(site, evse, evse.value - before)
            _set_stop(site, evse, at, UNBALANCE_ROW + pair)
    return True


cdef bint _is_continuous_riser(Kernel site, int i, int at, int pair) except -1 nogil:
    cdef Evse* evse = &site.evses[i]
    return (
        evse.admitted
        and site.increments[i].kind == CONTINUOUS
        and _raises_pair(evse.phases, pair)
        and _is_under(site, evse, &site.nodes[at])
    )
