#include "convert.h"

#include <stdio.h>

static int checks;
static int failures;

static void converts(double value, const char *from, const char *to, double expected) {
    double result = 0;
    enum yardstick_fault fault = yardstick_convert(value, from, to, &result);
    double error = result > expected ? result - expected : expected - result;
    checks++;
    if (fault != YARDSTICK_OK || error > 1e-9) {
        fprintf(stderr, "%g %s in %s: %.15g expected, %.15g found\n", value, from, to, expected,
                result);
        failures++;
    }
}

static void refuses(const char *from, const char *to, enum yardstick_fault expected) {
    double result = 0;
    checks++;
    if (yardstick_convert(1, from, to, &result) != expected) {
        fprintf(stderr, "%s to %s: refusal %d expected\n", from, to, (int)expected);
        failures++;
    }
}

int main(void) {
    converts(1, "mi", "km", 1.609344);
    converts(3, "ft", "in", 36);
    converts(16, "oz", "lb", 1);
    converts(90, "min", "h", 1.5);
    converts(100, "degC", "degF", 212);
    converts(0, "K", "degC", -273.15);
    refuses("league", "km", YARDSTICK_UNKNOWN_UNIT);
    refuses("kg", "km", YARDSTICK_OTHER_QUANTITY);
    printf("{\"checks\":%d}\n", checks);
    return failures != 0;
}
