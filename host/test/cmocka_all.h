/* cmocka with what it wants included before it. */
#ifndef TF_TEST_CMOCKA_ALL_H
#define TF_TEST_CMOCKA_ALL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
