#include "convert.h"

#include <stddef.h>
#include <string.h>

struct unit {
    const char *symbol;
    const char *quantity;
    double factor;
    double offset;
};

#include "units.h"

int yardstick_count(void) {
    return (int)(sizeof units / sizeof units[0]);
}

static const struct unit *find(const char *symbol) {
    int i;
    for (i = 0; i < yardstick_count(); i++) {
        if (strcmp(units[i].symbol, symbol) == 0) {
            return &units[i];
        }
    }
    return NULL;
}

enum yardstick_fault yardstick_convert(double value, const char *from, const char *to,
                                       double *result) {
    const struct unit *source = find(from);
    const struct unit *target = find(to);
    if (source == NULL || target == NULL) {
        return YARDSTICK_UNKNOWN_UNIT;
    }
    if (strcmp(source->quantity, target->quantity) != 0) {
        return YARDSTICK_OTHER_QUANTITY;
    }
    *result = (value * source->factor + source->offset - target->offset) / target->factor;
    return YARDSTICK_OK;
}
