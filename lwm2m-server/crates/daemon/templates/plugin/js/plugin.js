// The hooks of a plugin are exports with the names of the interfaces of the contract in wit.

import * as log from "lwm2m:plugin/log@0.1.0";

export const lifecycle = {
  // `config` is the table of this name in [[plugins.plugin]], as JSON. What is thrown refuses it.
  init(config) {},
};

export const registration = {
  onRegister(registration) {
    if (registration.endpoint === "unwanted") {
      log.write("info", "turned away", [["endpoint", registration.endpoint]]);
      const reason = "this device is not wanted here";
      return { tag: "reject", val: { code: "forbidden", reason } };
    }
    const set = [{ name: "seen_by", value: "{name}" }];
    return { tag: "annotate", val: { set, remove: [], lifetimeS: null } };
  },

  onUpdate(registration, update) {
    return { tag: "pass" };
  },
};
