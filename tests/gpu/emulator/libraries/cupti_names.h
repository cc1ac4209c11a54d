// CUPTI's numbers of the functions that the device tells of.

#pragma once

bool is_of_driver(const char* name);
unsigned number_of_call(const char* name);
