//! The contract, as Rust types and functions.

#![allow(missing_docs, unreachable_pub)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: {
        "lwm2m:plugin/kv": async | trappable,
        "lwm2m:plugin/registry": async | trappable,
        "lwm2m:plugin/device": async | trappable,
        "lwm2m:plugin/http": async | trappable,
        default: trappable,
    },
    exports: { default: async },
});
