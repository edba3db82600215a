# The parametric simplex method of `unbalance.pxi`.
#
# Tight rows and basic EVSEs make a square matrix; everything else follows from the level. A row is
# a combination of its node's three phase sums, so that one pass over the tree gives the values of
# all rows, and one pass down it what any combination of rows weighs for each EVSE.
#
# The straight lines between two exchanges are in `simplex_lines.pxi`.

# Where an EVSE stands in the simplex method.
cdef enum:
    OUTSIDE = 0
    AT_LOWER = 1
    AT_UPPER = 2
    BASIC = 3
    BASIC_SETTLED = 4
    SETTLED = 5

# No EVSE and no slack.
cdef enum:
    NOBODY = -1000000

# Where a row stands.
cdef enum:
    LOOSE = 0
    TIGHT = 1
    DEAD = 2

cdef enum:
    NO_EVENT = 0
    BREAKPOINT = 1
    CAPPED = 2
    ROW_FULL = 3
    BASIC_LOW = 4
    BASIC_HIGH = 5


cdef int _solve_simplex(Kernel site, int begin, int end) except -1 nogil:
    """Raise the level until everybody in roster[begin:end] has stopped; sets `filled` and stops."""
    cdef int j, k, i, left = 64 * (site.evse_count + 4 * site.live_count) + 1024
    cdef bint anew
    cdef Evse* evse
    cdef Simplex* own = &site.simplex
    own.size = 0
    own.level = 0.0
    own.begin = begin
    own.end = end
    for i in range(site.evse_count):
        site.standing[i] = OUTSIDE
    for k in range(begin, end):
        i = site.roster[k]
        if site.evses[i].admitted:
            site.standing[i] = AT_LOWER
    memset(&site.row_standing[0], 0, ROWS_PER_NODE * site.live_count * sizeof(int))
    _weigh_unsettled(site)
    _count_lines(site)
    while left:
        left -= 1
        _next_event(site)
        if own.event == NO_EVENT:
            break
        own.level = max(own.level, own.at_level)
        if own.event == CAPPED:
            _stop_and_bend(site, own.index, site.evses[own.index].upper)
            # The light ones are lost among what rounding left of the heavy ones.
            anew = site.uneven
        elif own.event == ROW_FULL:
            anew = _make_tight(site, own.index // ROWS_PER_NODE, own.index % ROWS_PER_NODE)
        elif own.event != BREAKPOINT:
            anew = _leave(site, own.index, own.event == BASIC_LOW)
        else:
            continue
        if anew or site.uneven:
            _weigh_unsettled(site)
            _count_lines(site)
    _count_lines(site)
    for j in range(own.size):
        i = site.basics[j]
        evse = &site.evses[i]
        evse.filled = min(max(_basic_at(site, j), evse.lower), evse.upper)
    for k in range(begin, end):
        i = site.roster[k]
        evse = &site.evses[i]
        evse.doing = STANDING
        if site.standing[i] == AT_UPPER:
            evse.filled = evse.upper
        elif site.standing[i] == AT_LOWER:
            evse.filled = _lower_at(site, i)
    return 0


cdef int _weigh_unsettled(Kernel site) except -1 nogil:
    """See how heavy those are who may still rise; where weights are far apart, count in theirs."""
    cdef int i
    site.simplex.heaviest = 0.0
    for i in range(site.evse_count):
        if site.standing[i] == AT_LOWER or site.standing[i] == BASIC:
            site.simplex.heaviest = max(site.simplex.heaviest, site.evses[i].weight)
    if site.uneven:
        _count_weights(site, site.simplex.heaviest)
    return 0


cdef inline double _row_sum(Node* node, double* phases, int row) noexcept nogil:
    """A row's value, from its node's sums by phase."""
    if row < STRAIGHT_VA:
        return phases[row]
    if row == STRAIGHT_VA:
        return (
            node.voltage[0] * phases[0]
            + node.voltage[1] * phases[1]
            + node.voltage[2] * phases[2]
        )
    return _difference(phases, row - UNBALANCE_ROW)


cdef double _row_room(Kernel site, int at, int row) except -1.0 nogil:
    if row <= STRAIGHT_VA:
        return site.nodes[at].headroom[row]
    return site.unbalances[site.places[at].unbalance].room[row - UNBALANCE_ROW]


cdef double _coefficient(Kernel site, int at, int row, int i) except? -1.0 nogil:
    """How much of an EVSE's current counts in a row."""
    cdef Evse* evse = &site.evses[i]
    cdef Node* node = &site.nodes[at]
    if not node.first <= i < node.last:
        return 0.0
    return _row_sum(node, LOADS[evse.phases], row)


cdef int _next_event(Kernel site) except -1 nogil:
    """Find what happens next as the level rises; of equal ones the first found."""
    cdef int i, j, at
    cdef double bound, rate, drawn, least = RATE_MIN * site.simplex.heaviest
    cdef Evse* evse
    cdef Simplex* own = &site.simplex
    own.event = NO_EVENT
    own.at_level = INFINITY
    if not own.unsettled:
        return 0
    _start_rising(site)
    if own.next_start < own.end:
        # Reaching it must be seen as reached: the product is compared, not the quotient.
        evse = &site.evses[site.starts[own.next_start].index]
        _consider_event(site, BREAKPOINT, -1, _level_of(evse.lower, evse.weight))
    while (
        own.next_cap < own.end
        and site.standing[site.caps[own.next_cap].index] != AT_LOWER
    ):
        own.next_cap += 1
    if own.next_cap < own.end:
        i = site.caps[own.next_cap].index
        evse = &site.evses[i]
        _consider_event(site, CAPPED, i, _level_of(evse.upper, evse.weight))
    for j in range(own.size):
        i = site.basics[j]
        if site.standing[i] != BASIC:
            continue
        evse = &site.evses[i]
        drawn = _basic_at(site, j)
        bound = min(max(evse.weight * own.level, evse.lower), evse.upper)
        rate = evse.weight if evse.lower <= evse.weight * own.level < evse.upper else 0.0
        rate -= site.basic_rate[j]
        if rate > least:
            _consider_event(site, BASIC_LOW, i, own.level + max(0.0, drawn - bound) / rate)
        rate = site.basic_rate[j]
        if rate > least:
            _consider_event(site, BASIC_HIGH, i, own.level + max(0.0, evse.upper - drawn) / rate)
    for at in range(site.live_count):
        if site.full_level[at] < own.at_level:
            _consider_event(
                site, ROW_FULL, ROWS_PER_NODE * at + site.full_row[at], site.full_level[at]
            )
    return 0


cdef int _start_rising(Kernel site) except -1 nogil:
    """Let those rise whose lower bound the level has reached; passes over who has none to reach."""
    cdef int i
    cdef Evse* evse
    cdef Simplex* own = &site.simplex
    while own.next_start < own.end:
        i = site.starts[own.next_start].index
        evse = &site.evses[i]
        if site.standing[i] == AT_LOWER or site.standing[i] == BASIC:
            if evse.weight * own.level < evse.lower:
                break
            if site.standing[i] == AT_LOWER and evse.doing == RESTING:
                evse.doing = MOVING
                _change(site, i, -evse.lower, evse.quanta)
        own.next_start += 1
    return 0


cdef inline double _level_of(double bound, double weight) noexcept nogil:
    """The level from which weight * level is at least a bound."""
    cdef double level = bound / weight
    while weight * level < bound:
        level *= 1.0 + 2.3e-16
    return level


cdef inline int _consider_event(Kernel site, int event, int index, double level) noexcept nogil:
    if level < site.simplex.at_level:
        site.simplex.at_level = level
        site.simplex.event = event
        site.simplex.index = index
    return 0


cdef int _simplex_stop(Kernel site, int i, double value) except -1 nogil:
    site.standing[i] = SETTLED
    site.evses[i].filled = value
    return 0


cdef bint _make_tight(Kernel site, int at, int row) except -1 nogil:
    """A row is full: keep it so by an exchange, or stop those whom it proves to have their most.

    Returns whether lines must be counted anew.
    """
    cdef int j, k, entering, own_row = ROWS_PER_NODE * at + row
    cdef Simplex* own = &site.simplex
    # What the tight rows weigh in it when the basic EVSEs are put in terms of them.
    for k in range(own.size):
        site.weights_of[k] = 0.0
        for j in range(own.size):
            site.weights_of[k] -= (
                _coefficient(site, at, row, site.basics[j]) * site.inverse[BASIS_MAX * j + k]
            )
    _weigh_rows(site, own_row)
    entering = _entering(site)
    if entering == NOBODY:
        site.row_standing[own_row] = DEAD
        _settle(site, own_row)
        _find_full(site, at)
        return False
    if entering < 0:
        # The slack of a tight row takes over: that row is loose again.
        k = -1 - entering
        site.row_standing[site.tight[k]] = LOOSE
        site.tight[k] = own_row
    else:
        if own.size == BASIS_MAX:
            _stop_who_raise(site, at, row)
            return True
        site.tight[own.size] = own_row
        site.basics[own.size] = entering
        site.locked[own.size] = 0
        site.standing[entering] = BASIC
        own.size += 1
    site.row_standing[own_row] = TIGHT
    if not _invert(site):
        _drop_basis(site)
        _stop_who_raise(site, at, row)
    return True


cdef bint _leave(Kernel site, int i, bint low) except -1 nogil:
    """A basic EVSE is at a bound: another takes its place, or those stop whom that proves.

    Returns whether lines must be counted anew.
    """
    cdef int j, k, entering
    cdef Simplex* own = &site.simplex
    cdef double sign = 1.0 if low else -1.0
    j = 0
    while site.basics[j] != i:
        j += 1
    for k in range(own.size):
        site.weights_of[k] = site.inverse[BASIS_MAX * j + k] * sign
    _weigh_rows(site, -1)
    entering = _entering(site)
    if entering == NOBODY:
        _settle(site, -1)
        _name_simplex_stop(site, i, -1)
        site.standing[i] = BASIC_SETTLED
        own.unsettled -= 1
        return False
    site.standing[i] = AT_LOWER if low else AT_UPPER
    if entering < 0:
        k = -1 - entering
        site.row_standing[site.tight[k]] = LOOSE
        own.size -= 1
        site.tight[k] = site.tight[own.size]
        site.locked[k] = site.locked[own.size]
        site.basics[j] = site.basics[own.size]
    else:
        site.basics[j] = entering
        site.standing[entering] = BASIC
    if not _invert(site):
        _drop_basis(site)
    return True


cdef int _weigh_rows(Kernel site, int own_row) except -1 nogil:
    """Carry the weights of rows down the tree: what a combination of them weighs for a phase.

    EVSEs that it weighs anything for are among `first` to `last` - 1.
    """
    cdef int k, at, up, p
    memset(&site.weighs[0], 0, 4 * site.live_count * sizeof(double))
    site.simplex.first = site.evse_count
    site.simplex.last = 0
    for k in range(site.simplex.size):
        if site.weights_of[k] != 0.0:
            _weigh_row(site, site.tight[k], site.weights_of[k])
    if own_row >= 0:
        _weigh_row(site, own_row, 1.0)
    for at in range(site.live_count):
        up = site.nodes[at].up
        if up >= 0:
            for p in range(3):
                site.weighs[4 * at + p] += site.weighs[4 * up + p]
    return 0


cdef int _weigh_row(Kernel site, int coded, double weight) except -1 nogil:
    cdef int p, at = coded // ROWS_PER_NODE, row = coded % ROWS_PER_NODE
    site.simplex.first = min(site.simplex.first, site.nodes[at].first)
    site.simplex.last = max(site.simplex.last, site.nodes[at].last)
    if row < STRAIGHT_VA:
        site.weighs[4 * at + row] += weight
    elif row == STRAIGHT_VA:
        for p in range(3):
            site.weighs[4 * at + p] += weight * site.nodes[at].voltage[p]
    else:
        site.weighs[4 * at + (row - UNBALANCE_ROW) // 2] += weight
        site.weighs[4 * at + _second(row - UNBALANCE_ROW)] -= weight
    return 0


cdef inline double _weight_for(Kernel site, int i) noexcept nogil:
    """What the combination of rows weighs for one ampere of an EVSE."""
    cdef double* loads = LOADS[site.evses[i].phases]
    cdef double* weighs = &site.weighs[4 * site.evses[i].node]
    return loads[0] * weighs[0] + loads[1] * weighs[1] + loads[2] * weighs[2]


cdef int _entering(Kernel site) except -2000000 nogil:
    """Whose move relieves the combination most: an EVSE, the slack of a tight row k as -1 - k, or
    NOBODY.
    """
    cdef int i, k, best = NOBODY
    cdef double by, most = PIVOT_MIN
    for k in range(site.simplex.size):
        # Raising a slack lets its row fall.
        by = -site.weights_of[k]
        if not site.locked[k] and by > most:
            most = by
            best = -1 - k
    for i in range(site.simplex.first, site.simplex.last):
        if site.standing[i] == AT_LOWER:
            by = -_weight_for(site, i)
            if site.evses[i].upper <= _lower_at(site, i):
                continue
        elif site.standing[i] == AT_UPPER:
            by = _weight_for(site, i)
        else:
            continue
        if by > most:
            most = by
            best = i
    return best


cdef int _settle(Kernel site, int own_row) except -1 nogil:
    """Stop all that the combination of rows weighs anything for: nothing can change it any more."""
    cdef int i, k
    cdef double weight
    for k in range(site.simplex.size):
        if site.weights_of[k] > PIVOT_MIN or site.weights_of[k] < -PIVOT_MIN:
            site.locked[k] = 1
    for i in range(site.simplex.first, site.simplex.last):
        if site.standing[i] != AT_LOWER and site.standing[i] != AT_UPPER:
            continue
        weight = _weight_for(site, i)
        if weight > PIVOT_MIN or weight < -PIVOT_MIN:
            if site.standing[i] == AT_LOWER:
                _name_simplex_stop(site, i, own_row)
                _stop_and_bend(site, i, _lower_at(site, i))
            else:
                _simplex_stop(site, i, site.evses[i].upper)
    return 0


cdef int _name_simplex_stop(Kernel site, int i, int own_row) except -1 nogil:
    """Name the nearest row of the combination that an EVSE raises."""
    cdef int k, best = -1
    if own_row >= 0 and _raised_by(site, own_row, 1.0, i):
        best = own_row
    for k in range(site.simplex.size):
        if site.tight[k] > best and _raised_by(site, site.tight[k], site.weights_of[k], i):
            best = site.tight[k]
    if best < 0:
        # Stopped by what it would take away from others.
        for k in range(site.simplex.size):
            if _raised_by(site, site.tight[k], _magnitude(site.weights_of[k]), i):
                best = max(best, site.tight[k])
    if best < 0:
        # Who would relieve a row that others, who have stopped, must keep full.
        for k in range(site.simplex.size):
            if (
                _magnitude(site.weights_of[k]) > PIVOT_MIN
                and _coefficient(
                    site, site.tight[k] // ROWS_PER_NODE, site.tight[k] % ROWS_PER_NODE, i
                ) != 0.0
            ):
                best = max(best, site.tight[k])
    if best >= 0:
        _set_stop(site, &site.evses[i], best // ROWS_PER_NODE, best % ROWS_PER_NODE)
    return 0


cdef bint _raised_by(Kernel site, int coded, double weight, int i) except -1 nogil:
    return (
        weight > PIVOT_MIN
        and _coefficient(site, coded // ROWS_PER_NODE, coded % ROWS_PER_NODE, i) > 0.0
    )


cdef int _set_stop(Kernel site, Evse* evse, int at, int row) except -1 nogil:
    evse.stop_node = at
    evse.stop_row = row
    evse.code = C_NODE_CEILING
    if row == STRAIGHT_VA:
        evse.code = C_VA_CEILING
    elif row >= UNBALANCE_ROW:
        evse.code = C_UNBALANCE
    if row <= STRAIGHT_VA and site.nodes[at].deficit_rows >> row & 1:
        evse.code = C_BASE_OVER_CEILING
    return 0


cdef int _stop_who_raise(Kernel site, int at, int row) except -1 nogil:
    """Without an exchange: safe, since nobody else is lowered."""
    cdef int i
    for i in range(site.nodes[at].first, site.nodes[at].last):
        if site.standing[i] == AT_LOWER and _coefficient(site, at, row, i) > 0.0:
            _set_stop(site, &site.evses[i], at, row)
            _simplex_stop(site, i, _lower_at(site, i))
    site.row_standing[ROWS_PER_NODE * at + row] = DEAD
    return 0


cdef int _drop_basis(Kernel site) except -1 nogil:
    """Stop the basic EVSEs where they are: their rows stay full."""
    cdef int j
    for j in range(site.simplex.size):
        _simplex_stop(site, site.basics[j], _basic_at(site, j))
        site.row_standing[site.tight[j]] = DEAD
    site.simplex.size = 0
    return 0


cdef bint _invert(Kernel site) except -1 nogil:
    """Invert the matrix of tight rows and basic EVSEs; whether that could be done."""
    cdef int i, j, k, best, size = site.simplex.size
    cdef double factor
    cdef double* matrix = &site.matrix[0]
    cdef double* inverse = &site.inverse[0]
    for i in range(size):
        for j in range(size):
            matrix[BASIS_MAX * i + j] = _coefficient(
                site, site.tight[i] // ROWS_PER_NODE, site.tight[i] % ROWS_PER_NODE, site.basics[j]
            )
            inverse[BASIS_MAX * i + j] = i == j
    for k in range(size):
        best = k
        for i in range(k + 1, size):
            if _magnitude(matrix[BASIS_MAX * i + k]) > _magnitude(matrix[BASIS_MAX * best + k]):
                best = i
        if _magnitude(matrix[BASIS_MAX * best + k]) < PIVOT_MIN:
            return False
        for j in range(size):
            matrix[BASIS_MAX * k + j], matrix[BASIS_MAX * best + j] = (
                matrix[BASIS_MAX * best + j], matrix[BASIS_MAX * k + j]
            )
            inverse[BASIS_MAX * k + j], inverse[BASIS_MAX * best + j] = (
                inverse[BASIS_MAX * best + j], inverse[BASIS_MAX * k + j]
            )
        factor = matrix[BASIS_MAX * k + k]
        for j in range(size):
            matrix[BASIS_MAX * k + j] /= factor
            inverse[BASIS_MAX * k + j] /= factor
        for i in range(size):
            factor = matrix[BASIS_MAX * i + k]
            if i == k or factor == 0.0:
                continue
            for j in range(size):
                matrix[BASIS_MAX * i + j] -= factor * matrix[BASIS_MAX * k + j]
                inverse[BASIS_MAX * i + j] -= factor * inverse[BASIS_MAX * k + j]
    return True


cdef inline double _magnitude(double value) noexcept nogil:
    return -value if value < 0.0 else value
