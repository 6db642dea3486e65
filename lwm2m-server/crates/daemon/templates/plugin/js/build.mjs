// Makes the component of the script, with the engine that runs it.
import { writeFile } from "node:fs/promises";
import { componentize } from "@bytecodealliance/componentize-js";

const { component } = await componentize({
  sourcePath: "plugin.js",
  witPath: "wit",
  worldName: "registration-plugin",
  // A plugin has no files, no sockets and no HTTP of its own.
  disableFeatures: ["stdio", "random", "clocks", "http", "fetch-event"],
});
await writeFile("{name}.wasm", component);
