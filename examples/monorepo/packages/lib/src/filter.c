/* Reads lines `VALUE FROM TO`, writes the converted values. */
#include "convert.h"

#include <stdio.h>

int main(void) {
    double value, result;
    char from[16], to[16];
    int fields;
    while ((fields = scanf("%lf %15s %15s", &value, from, to)) == 3) {
        if (yardstick_convert(value, from, to, &result) != YARDSTICK_OK) {
            fprintf(stderr, "cannot convert %s to %s\n", from, to);
            return 1;
        }
        printf("%.15g\n", result);
    }
    return fields == EOF ? 0 : 1;
}
