# Compiling a site: the topology checked, copied and numbered, and all memory reserved.


cdef array.array BYTES = array.array("b")
cdef array.array INTS = array.array("i")
cdef array.array DOUBLES = array.array("d")


cdef array.array _bytes(Py_ssize_t count):
    return array.clone(BYTES, count, zero=True)


# An array of nothing has no memory that a view or memset could be given.
cdef int[::1] _ints(Py_ssize_t count):
    return array.clone(INTS, max(1, count), zero=True)


cdef double[::1] _doubles(Py_ssize_t count):
    return array.clone(DOUBLES, max(1, count), zero=True)


cdef int _reserve(Kernel site) except -1:
    # A view needs at least one record, which nobody looks at when there are no nodes or EVSEs.
    cdef Py_ssize_t m = max(1, site.node_count + site.transformer_count)
    cdef Py_ssize_t n = max(1, site.evse_count)
    cdef array.array nodes = _bytes(m * sizeof(Node))
    cdef array.array fills = _bytes(m * sizeof(Fill))
    cdef array.array heap = _bytes(m * sizeof(Event))
    cdef array.array evses = _bytes(n * sizeof(Evse))
    cdef array.array increments = _bytes(n * sizeof(Increments))
    cdef array.array starts = _bytes(n * sizeof(Event))
    cdef array.array caps = _bytes(n * sizeof(Event))
    cdef array.array spare = _bytes(n * sizeof(Event))
    cdef array.array remainders = _bytes(n * sizeof(Event))
    cdef array.array starts_kept = _bytes(2 * n * sizeof(Event))
    cdef array.array caps_kept = _bytes(2 * n * sizeof(Event))
    cdef int i
    cdef array.array places = _bytes(m * sizeof(Place))
    site.memory = (
        nodes,
        places,
        fills,
        heap,
        evses,
        increments,
        starts,
        caps,
        spare,
        remainders,
        starts_kept,
        caps_kept,
    )
    site.nodes = <Node[:m]><Node*>nodes.data.as_chars
    site.places = <Place[:m]><Place*>places.data.as_chars
    site.fills = <Fill[:m]><Fill*>fills.data.as_chars
    site.heap = <Event[:m]><Event*>heap.data.as_chars
    site.evses = <Evse[:n]><Evse*>evses.data.as_chars
    site.increments = <Increments[:n]><Increments*>increments.data.as_chars
    site.starts = <Event[:n]><Event*>starts.data.as_chars
    site.caps = <Event[:n]><Event*>caps.data.as_chars
    site.spare = <Event[:n]><Event*>spare.data.as_chars
    site.remainders = <Event[:n]><Event*>remainders.data.as_chars
    site.starts_kept = <Event[:2 * n]><Event*>starts_kept.data.as_chars
    site.caps_kept = <Event[:2 * n]><Event*>caps_kept.data.as_chars
    # Levels of 0 in the order of the EVSEs are in order.
    for i in range(2 * n):
        site.starts_kept[i].index = site.caps_kept[i].index = i % n
    site.start_levels = _doubles(2 * n)
    site.cap_levels = _doubles(2 * n)
    site.evse_inner = _ints(n)
    site.tier_start = _ints(n + 1)
    site.tier_fill = _ints(n)
    site.queue = _ints(n)
    site.roster = _ints(n)
    site.seen = _ints(n)
    site.candidates = _ints(n)
    site.histogram = _ints(6 * 2048)
    site.work = _doubles(GATHERED * m if site.transformer_count or site.any_delta else 6 * m)
    return 0


cdef int _copy_topology(
    Kernel site,
    const int[::1] parent,
    const double[::1] turns,
    const int[::1] evse_node,
    const int[::1] evse_phases,
    const int[::1] evse_delta,
) except -1:
    cdef int i
    site.outer_parent = _ints(site.node_count)
    site.turns = _doubles(site.node_count)
    site.outer_evse_delta = _ints(site.evse_count)
    site.outer_evse_node = _ints(site.evse_count)
    site.outer_evse_phases = _ints(site.evse_count)
    for i in range(site.node_count):
        if not -1 <= parent[i] < site.node_count:
            raise ValueError(f"node {i} has parent {parent[i]}, which does not exist")
        if not (turns[i] == 0.0 or C_TURNS_MIN <= turns[i] <= C_TURNS_MAX):
            raise ValueError(f"node {i} has turns ratio {turns[i]}, which cannot be")
        site.outer_parent[i] = parent[i]
        site.turns[i] = turns[i]
        site.transformer_count += turns[i] > 0.0
    for i in range(site.evse_count):
        if not 0 <= evse_node[i] < site.node_count:
            raise ValueError(f"EVSE {i} hangs on node {evse_node[i]}, which does not exist")
        if not 1 <= evse_phases[i] <= 7:
            raise ValueError(f"EVSE {i} loads no phase or one that does not exist")
        if evse_delta[i] and evse_phases[i] not in (3, 5, 6):
            raise ValueError(f"EVSE {i} is between two lines but has not two")
        site.outer_evse_node[i] = evse_node[i]
        site.outer_evse_delta[i] = evse_delta[i] != 0
        site.any_delta |= evse_delta[i] != 0
        site.outer_evse_phases[i] = evse_phases[i]
    return 0


cdef int _copy_lists(
    Kernel site, const int[::1] allowed_start, const double[::1] allowed
) except -1:
    cdef int i, k, begin, end
    site.allowed_start = _ints(site.evse_count + 1)
    site.allowed = _doubles(allowed.shape[0])
    for i in range(site.evse_count):
        begin = allowed_start[i]
        end = allowed_start[i + 1]
        if not 0 <= begin <= end <= allowed.shape[0]:
            raise ValueError(f"the list of EVSE {i} is not among the allowed currents")
        for k in range(begin, end):
            if not 0.0 <= allowed[k] <= C_MAGNITUDE_MAX or (
                k > begin and allowed[k] <= allowed[k - 1]
            ):
                raise ValueError(f"EVSE {i} has a list of currents that does not ascend from 0")
            site.allowed[k] = allowed[k]
        site.allowed_start[i] = begin
        site.allowed_start[i + 1] = end
    return 0


cdef int _part_transformers(Kernel site) except -1:
    """Make `full_parent`: the caller's nodes, then one for the primary side of each transformer."""
    cdef int i, side = site.node_count
    site.full_parent = _ints(site.node_count + site.transformer_count)
    site.side_of = _ints(site.node_count + site.transformer_count)
    for i in range(site.node_count):
        site.side_of[i] = i
        site.full_parent[i] = site.outer_parent[i]
        if site.turns[i] > 0.0:
            site.side_of[side] = i
            site.full_parent[side] = site.outer_parent[i]
            site.full_parent[i] = side
            side += 1
    return 0


cdef int _order_leaves_first(Kernel site) except -1:
    """Fill `leaves_first`: every node before its parent. A cycle never runs out of children."""
    cdef int[::1] children = _ints(site.node_count)
    cdef int i, up, head = 0, tail = 0
    site.leaves_first = _ints(site.node_count)
    for i in range(site.node_count):
        if site.outer_parent[i] >= 0:
            children[site.outer_parent[i]] += 1
    for i in range(site.node_count):
        if children[i] == 0:
            site.leaves_first[tail] = i
            tail += 1
    while head < tail:
        up = site.outer_parent[site.leaves_first[head]]
        head += 1
        if up >= 0:
            children[up] -= 1
            if children[up] == 0:
                site.leaves_first[tail] = up
                tail += 1
    if tail != site.node_count:
        raise ValueError("the nodes' parents form a cycle")
    return 0


cdef int _number(Kernel site) except -1:
    """Give inner numbers in preorder, siblings in the order of the first EVSE under them.

    So the EVSEs under a node are a range, parents come before children, and the numbers do not
    depend on the order in which the caller lists the nodes.
    """
    cdef int m = site.node_count + site.transformer_count, n = site.evse_count
    cdef int[::1] first_child = _ints(m)
    cdef int[::1] last_child = _ints(m)
    cdef int[::1] sibling = _ints(m)
    cdef int[::1] first_evse = _ints(m)
    cdef int[::1] last_evse = _ints(m)
    cdef int[::1] next_evse = _ints(n)
    cdef int[::1] known = _ints(m)
    cdef int[::1] inner = _ints(m)
    cdef Place* place
    cdef int i, node, up, root_first = -1, root_last = -1, number = 0, placed = 0
    for i in range(m):
        first_child[i] = last_child[i] = sibling[i] = first_evse[i] = last_evse[i] = -1
    for i in range(n):
        next_evse[i] = -1
        node = site.outer_evse_node[i]
        if first_evse[node] < 0:
            first_evse[node] = i
        else:
            next_evse[last_evse[node]] = i
        last_evse[node] = i
        while node >= 0 and not known[node]:
            known[node] = 1
            up = site.full_parent[node]
            if up >= 0:
                if first_child[up] < 0:
                    first_child[up] = node
                else:
                    sibling[last_child[up]] = node
                last_child[up] = node
            else:
                if root_first < 0:
                    root_first = node
                else:
                    sibling[root_last] = node
                root_last = node
            node = up
    node = root_first
    while node >= 0:
        up = site.full_parent[node]
        inner[node] = number
        place = &site.places[number]
        place.outer = site.side_of[node]
        place.primary = node >= site.node_count
        place.turns = 0.0 if place.primary else site.turns[node]
        place.parent = inner[up] if up >= 0 else -1
        place.zone = site.places[place.parent].zone if up >= 0 else 0
        place.zone += place.turns > 0.0
        place.curved = place.unbalance = -1
        site.nodes[number].up = -1 if place.turns > 0.0 else place.parent
        site.nodes[number].first = placed
        i = first_evse[node]
        while i >= 0:
            site.evse_inner[i] = placed
            site.evses[placed].outer = i
            site.evses[placed].node = number
            site.evses[placed].phases = (
                0 if site.outer_evse_delta[i] else site.outer_evse_phases[i]
            )
            site.evses[placed].entry = -1
            placed += 1
            i = next_evse[i]
        number += 1
        if first_child[node] >= 0:
            node = first_child[node]
            continue
        while node >= 0:
            site.nodes[inner[node]].last = placed
            if sibling[node] >= 0:
                node = sibling[node]
                break
            node = site.full_parent[node]
    site.live_count = number
    return 0


cdef int _find_curved(Kernel site) except -1:
    """Give curved rows to the nodes that need them; find where each EVSE enters those."""
    cdef Py_ssize_t m = site.live_count, n = site.evse_count
    cdef int[::1] lines = _ints(m)
    cdef int[::1] doubles = _ints(m)
    cdef int i, at, entered = 0
    cdef Reach reach
    cdef array.array memory
    site.scale_max = 1.0
    for i in range(n):
        at = site.evses[i].node
        reach = _first_reach(site, i)
        while at >= 0:
            if reach.kind != WYE:
                lines[at] |= _lines_of(&reach)
                doubles[at] |= reach.kind == DOUBLE
            if not C_SCALE_MIN <= reach.scale <= C_SCALE_MAX:
                raise ValueError(f"EVSE {site.evses[i].outer} is behind too many transformers")
            site.scale_max = max(site.scale_max, reach.scale)
            at = _climb(site, at, &reach)
    site.curved_count = 0
    for i in range(m):
        if lines[i]:
            site.places[i].curved = site.curved_count
            site.curved_count += 1
    memory = _bytes(max(1, site.curved_count) * sizeof(Curved))
    site.curves = <Curved[:max(1, site.curved_count)]><Curved*>memory.data.as_chars
    site.memory += (memory,)
    for i in range(m):
        if lines[i]:
            site.curves[site.places[i].curved].lines = lines[i]
            site.curves[site.places[i].curved].importing = (
                1 << EVERYTHING | 1 << WITHOUT_FAR_BEHIND | 1 << WITHOUT_FAR_AHEAD
                if doubles[i]
                else 1 << EVERYTHING
            )
            site.curves[site.places[i].curved].feeding = (
                (1 << CORNERS) - 1
                if doubles[i]
                else 1 << EVERYTHING | 1 << WITHOUT_BEHIND | 1 << WITHOUT_AHEAD
            )
    if not site.curved_count:
        n = 0
    memory = _bytes(max(1, n) * sizeof(Reach))
    site.entries = <Reach[:max(1, n)]><Reach*>memory.data.as_chars
    site.memory += (memory,)
    for i in range(n):
        at = site.evses[i].node
        reach = _first_reach(site, i)
        while at >= 0 and site.places[at].curved < 0:
            at = _climb(site, at, &reach)
        if at >= 0:
            site.evses[i].entry = entered
            reach.at = at
            site.entries[entered] = reach
            entered += 1
    return 0


cdef Reach _first_reach(Kernel site, int i) except *:
    """How an EVSE loads its own node."""
    cdef Reach reach
    cdef int outer = site.evses[i].outer
    cdef int phases = site.outer_evse_phases[outer]
    reach.at = site.evses[i].node
    reach.kind = WYE
    reach.bits = phases
    reach.scale = 1.0
    reach.zone = site.places[site.evses[i].node].zone
    if site.outer_evse_delta[outer]:
        reach.kind = DELTA
        # A pair is named after its first line: 1 and 2, 2 and 3, 3 and 1.
        reach.bits = 1 if phases == 3 else 2 if phases == 6 else 4
    return reach


cdef int _find_unbalance(Kernel site, const double[::1] unbalance) except -1:
    """Give unbalance ceilings to their nodes, and memory to the simplex method if there are any."""
    cdef Py_ssize_t m = max(1, site.live_count), n = max(1, site.evse_count)
    cdef int i, k = 0
    cdef double ceiling
    cdef array.array memory
    site.unbalance = _doubles(site.node_count)
    for i in range(site.node_count):
        ceiling = unbalance[i]
        if not (0.0 <= ceiling <= C_MAGNITUDE_MAX or ceiling == INFINITY):
            raise ValueError(f"node {i} has unbalance ceiling {ceiling}, which cannot be")
        site.unbalance[i] = ceiling
        site.unbalance_count += ceiling < INFINITY
    if not site.unbalance_count:
        return 0
    if site.curved_count:
        raise ValueError(
            "unbalance ceilings beside line-to-line EVSEs or transformers are not supported"
        )
    memory = _bytes(site.unbalance_count * sizeof(Unbalance))
    site.memory += (memory,)
    site.unbalances = <Unbalance[:site.unbalance_count]><Unbalance*>memory.data.as_chars
    for i in range(site.live_count):
        if site.unbalance[site.places[i].outer] < INFINITY:
            site.places[i].unbalance = k
            site.unbalances[k].at = i
            k += 1
    # Those without EVSEs below them have nothing to hold.
    site.unbalance_count = k
    site.standing = _ints(n)
    site.sums = _doubles(4 * m)
    site.rates = _doubles(4 * m)
    site.weighs = _doubles(4 * m)
    site.row_standing = _ints(ROWS_PER_NODE * m)
    site.tight = _ints(BASIS_MAX)
    site.locked = _ints(BASIS_MAX)
    site.basics = _ints(BASIS_MAX)
    site.full_level = _doubles(m)
    site.full_row = _ints(m)
    site.basic_start = _doubles(BASIS_MAX)
    site.basic_rate = _doubles(BASIS_MAX)
    site.left = _doubles(BASIS_MAX)
    site.falling = _doubles(BASIS_MAX)
    site.weights_of = _doubles(BASIS_MAX)
    site.matrix = _doubles(BASIS_MAX * BASIS_MAX)
    site.inverse = _doubles(BASIS_MAX * BASIS_MAX)
    return 0
