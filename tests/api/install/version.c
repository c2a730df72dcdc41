/* version.c: the smallest program on the runtime library alone. */
#include <agate.h>

#include <stdio.h>

int main(void)
{
    return printf("%s\n", agate_version()) > 0 ? 0 : 1;
}
