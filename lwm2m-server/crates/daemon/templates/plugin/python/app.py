"""The hooks of a plugin are classes with the names of the interfaces of the contract in wit."""

from wit_world import exports
from wit_world.exports.registration import (
    Annotations,
    Decision_Annotate,
    Decision_Pass,
    Decision_Reject,
    Rejection,
)
from wit_world.imports import log
from wit_world.imports.types import Attribute, Refusal


class Lifecycle(exports.Lifecycle):
    def init(self, config: str) -> None:
        """`config` is the table of this name in [[plugins.plugin]], as JSON."""


class Registration(exports.Registration):
    def on_register(self, reg):
        if reg.endpoint == "unwanted":
            log.write(log.Level.INFO, "turned away", [("endpoint", reg.endpoint)])
            reason = "this device is not wanted here"
            return Decision_Reject(Rejection(Refusal.FORBIDDEN, reason))
        return Decision_Annotate(Annotations([Attribute("seen_by", "{name}")], [], None))

    def on_update(self, reg, update):
        return Decision_Pass()
