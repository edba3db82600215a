"""The shape of the site file, section by section: every key, its type and range.

What needs the whole is in `cross`. The descriptions are what an editor shows, from
`edgectl schema site`.
"""
