/* The header by itself, twice, in every language that callers use. */
#include <rsquant.h>
#include <rsquant.h>

int header_is_right(void);
int header_is_right(void) {
    rsq_context_options options;
    options.struct_size = (uint32_t)sizeof options;
    return RSQ_OK == 0 && options.struct_size > 0 && RSQ_VERSION_NUMBER > 0 && sizeof(RSQ_VERSION_STRING) > 5;
}
