//! What scripts answer about firmware: the way to deliver it, and the steps of a delivery of their own.

use lwm2m_server::hooks::{
    FirmwareAction, FirmwareChoice, FirmwareStep, FirmwareStrategy, FirmwareVerdict,
};
use rhai::{Array, Blob, Dynamic, Engine};

use super::answers::{Made, Said, number, path, wrong};
use super::inputs::to_value;

/// Makes the functions known to an engine.
pub(super) fn register(engine: &mut Engine) {
    let deliver = |strategy| Said::Choice(FirmwareChoice::Deliver(strategy));
    engine
        .register_fn("object5_push", move || {
            deliver(FirmwareStrategy::Object5Push {
                instance: 0,
                block_size: 1024,
            })
        })
        .register_fn("object5_pull", move |uri: &str| {
            deliver(FirmwareStrategy::Object5Pull {
                instance: 0,
                uri: uri.to_owned(),
            })
        })
        .register_fn("object19_push", move || {
            deliver(FirmwareStrategy::Object19Push {
                instance: 0,
                block_size: 1024,
            })
        })
        .register_fn("custom", move |state: Blob| {
            deliver(FirmwareStrategy::Custom(state))
        })
        .register_fn("postpone", |seconds: Dynamic| -> Made<Said> {
            let seconds = number(seconds, "postpone")?;
            Ok(Said::Choice(FirmwareChoice::Postpone(seconds)))
        })
        .register_fn("refuse", |why: &str| {
            Said::Choice(FirmwareChoice::Refuse(why.to_owned()))
        });
    engine
        .register_type_with_name::<FirmwareAction>("Action")
        .register_fn("read", |paths: Array| -> Made<FirmwareAction> {
            let paths = paths.iter().map(|path| self::path(&path.to_string()));
            Ok(FirmwareAction::Read(paths.collect::<Made<_>>()?))
        })
        .register_fn(
            "write",
            |path: &str, value: Dynamic| -> Made<FirmwareAction> {
                let value = to_value(value, None).ok_or_else(|| wrong("write: a value"))?;
                Ok(FirmwareAction::Write(vec![(self::path(path)?, value)]))
            },
        )
        .register_fn("execute", |path: &str| -> Made<FirmwareAction> {
            Ok(FirmwareAction::Execute(self::path(path)?, None))
        })
        .register_fn(
            "execute",
            |path: &str, arguments: &str| -> Made<FirmwareAction> {
                let arguments = Some(arguments.to_owned());
                Ok(FirmwareAction::Execute(self::path(path)?, arguments))
            },
        )
        .register_fn("observe_path", |path: &str| -> Made<FirmwareAction> {
            Ok(FirmwareAction::Observe(self::path(path)?))
        })
        .register_fn("send_image", |path: &str| -> Made<FirmwareAction> {
            Ok(FirmwareAction::SendImage(self::path(path)?))
        })
        .register_fn("wait", |ms: Dynamic| -> Made<FirmwareAction> {
            Ok(FirmwareAction::Wait(number(ms, "wait")?))
        })
        .register_fn("progress", |percent: Dynamic| -> Made<FirmwareAction> {
            let percent: u32 = number(percent, "progress")?;
            Ok(FirmwareAction::Progress(percent.min(100) as u8))
        })
        .register_fn("step", |state: Blob, actions: Array| -> Made<Said> {
            step(state, actions, FirmwareVerdict::Running)
        })
        .register_fn("done", |state: Blob| {
            step(state, Array::new(), FirmwareVerdict::Succeeded)
        })
        .register_fn("failed", |why: &str| {
            step(
                Blob::new(),
                Array::new(),
                FirmwareVerdict::Failed(why.to_owned()),
            )
        })
        .register_fn(
            "retry_later",
            |state: Blob, seconds: Dynamic| -> Made<Said> {
                let verdict = FirmwareVerdict::RetryLater(number(seconds, "retry_later")?);
                step(state, Array::new(), verdict)
            },
        );
}

fn step(state: Vec<u8>, actions: Array, verdict: FirmwareVerdict) -> Made<Said> {
    let action = |action: Dynamic| {
        let wrong = || wrong("step: a list of actions, as write(\"/5/0/3\", 0) makes them");
        action.try_cast::<FirmwareAction>().ok_or_else(wrong)
    };
    Ok(Said::Step(FirmwareStep {
        state,
        actions: actions.into_iter().map(action).collect::<Made<_>>()?,
        verdict,
    }))
}
