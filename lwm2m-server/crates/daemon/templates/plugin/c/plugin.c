// The hooks of a plugin are functions with the names that wit-bindgen gives them: see
// bindings/registration_plugin.h, which was made of the contract in wit.

#include <stdlib.h>
#include <string.h>

#include "registration_plugin.h"

typedef exports_lwm2m_plugin_registration_registration_t registration_t;
typedef exports_lwm2m_plugin_registration_update_t update_t;
typedef exports_lwm2m_plugin_registration_decision_t decision_t;
typedef exports_lwm2m_plugin_registration_attribute_t attribute_t;

static bool is(const registration_plugin_string_t *text, const char *other) {
  return text->len == strlen(other) && memcmp(text->ptr, other, text->len) == 0;
}

// `config` is the table of this name in [[plugins.plugin]], as JSON; false refuses it.
bool exports_lwm2m_plugin_lifecycle_init(registration_plugin_string_t *config,
                                         registration_plugin_string_t *error) {
  registration_plugin_string_free(config);
  return true;
}

// What is answered is freed by the bindings, so it is copied.
void exports_lwm2m_plugin_registration_on_register(registration_t *registration, decision_t *answer) {
  memset(answer, 0, sizeof *answer);
  if (is(&registration->endpoint, "unwanted")) {
    registration_plugin_string_t message;
    registration_plugin_string_set(&message, "turned away");
    registration_plugin_tuple2_string_string_t field = {.f1 = registration->endpoint};
    registration_plugin_string_set(&field.f0, "endpoint");
    registration_plugin_list_tuple2_string_string_t fields = {.ptr = &field, .len = 1};
    lwm2m_plugin_log_write(LWM2M_PLUGIN_LOG_LEVEL_INFO, &message, &fields);
    answer->tag = EXPORTS_LWM2M_PLUGIN_REGISTRATION_DECISION_REJECT;
    answer->val.reject.code = LWM2M_PLUGIN_TYPES_REFUSAL_FORBIDDEN;
    registration_plugin_string_dup(&answer->val.reject.reason, "this device is not wanted here");
  } else {
    answer->tag = EXPORTS_LWM2M_PLUGIN_REGISTRATION_DECISION_ANNOTATE;
    attribute_t *set = malloc(sizeof *set);
    registration_plugin_string_dup(&set->name, "seen_by");
    registration_plugin_string_dup(&set->value, "{name}");
    answer->val.annotate.set.ptr = set;
    answer->val.annotate.set.len = 1;
  }
  exports_lwm2m_plugin_registration_registration_free(registration);
}

void exports_lwm2m_plugin_registration_on_update(registration_t *registration, update_t *update,
                                                 decision_t *answer) {
  memset(answer, 0, sizeof *answer);
  answer->tag = EXPORTS_LWM2M_PLUGIN_REGISTRATION_DECISION_PASS;
  exports_lwm2m_plugin_registration_registration_free(registration);
  exports_lwm2m_plugin_registration_update_free(update);
}
