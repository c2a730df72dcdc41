# The comments of agate.h as Doxygen reads them.
# The headings between the parts, which begin with "/* ----", are none.
/^\/\* ----/d
1s|^/\* |/** @file\n * |
s|^\( *\)/\* |\1/** |
s|\([^ /].*\)/\* |\1/**< |
