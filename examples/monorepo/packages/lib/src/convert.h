#ifndef YARDSTICK_CONVERT_H
#define YARDSTICK_CONVERT_H

enum yardstick_fault {
    YARDSTICK_OK,
    YARDSTICK_UNKNOWN_UNIT,
    YARDSTICK_OTHER_QUANTITY
};

/* How many units there are. */
int yardstick_count(void);

/* Converts `value` between two units of one quantity; `*result` is written on YARDSTICK_OK only. */
enum yardstick_fault yardstick_convert(double value, const char *from, const char *to,
                                       double *result);

#endif
