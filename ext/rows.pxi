# Rows: what nodes carry, and whether more would fit.


cdef inline int _refusing_rows(Node* node, int phases, double more) noexcept nogil:
    """The rows of a node, as bits, that would be exceeded by `more` A on `phases`."""
    cdef double* loads = LOADS[phases]
    cdef double first = node.load[0] + more * loads[0]
    cdef double second = node.load[1] + more * loads[1]
    cdef double third = node.load[2] + more * loads[2]
    cdef double va = (
        node.voltage[0] * first + node.voltage[1] * second + node.voltage[2] * third
    )
    cdef int rows = (
        <int>(first > node.bound[0])
        | <int>(second > node.bound[1]) << 1
        | <int>(third > node.bound[2]) << 2
    ) & phases
    return rows | <int>(va > node.bound[3]) << 3


cdef inline int _lowest(int rows) noexcept nogil:
    """The lowest bit that is set in `rows`, which is not 0."""
    cdef int row = 0
    while not rows & (1 << row):
        row += 1
    return row


cdef int _sum_loads(Kernel site) except -1 nogil:
    """Set `load` to what all EVSEs hold now, summed afresh."""
    cdef int i, p
    cdef double* loads
    cdef Evse* evse
    cdef Node* node
    cdef Node* up
    for i in range(site.live_count):
        memset(&site.nodes[i].load[0], 0, 4 * sizeof(double))
    for i in range(site.evse_count):
        evse = &site.evses[i]
        node = &site.nodes[evse.node]
        loads = LOADS[evse.phases]
        for p in range(4):
            node.load[p] += evse.value * loads[p]
    for i in range(site.live_count - 1, 0, -1):
        node = &site.nodes[i]
        if node.up >= 0:
            up = &site.nodes[node.up]
            for p in range(4):
                up.load[p] += node.load[p]
    if site.curved_count:
        _curved_sum_loads(site)
    return 0


cdef int _refusal(Kernel site, Evse* evse, double more) except -2 nogil:
    """The nearest row up to the root without room for `more` A, coded, or -1."""
    cdef int rows, at = evse.node, straight = -1
    cdef Node* node
    while at >= 0:
        node = &site.nodes[at]
        rows = _refusing_rows(node, evse.phases, more)
        if rows:
            straight = ROWS_PER_NODE * at + _lowest(rows)
            break
        at = node.up
    if evse.entry >= 0:
        # Nodes nearer to the EVSE have higher numbers.
        straight = max(straight, _curved_refusal(site, evse, more))
    if site.unbalance_count:
        straight = max(straight, _unbalance_refusal(site, evse, more))
    return straight


cdef int _add(Kernel site, Evse* evse, double more) except -1 nogil:
    """Add `more` A of an EVSE to every node up to the root."""
    cdef int p, at = evse.node
    cdef double* loads = LOADS[evse.phases]
    cdef Node* node
    while at >= 0:
        node = &site.nodes[at]
        for p in range(4):
            node.load[p] += more * loads[p]
        at = node.up
    if evse.entry >= 0:
        _curved_add(site, evse, more)
    return 0
