//! The cases. Behind the interceptor of a case stands another one, which adds the annotation
//! `behind` to each Register and Update that it is asked about.

use lwm2m_coap::Code;
use lwm2m_server::Hook;

use super::{Case, Happened, Step};

const OBSERVE_REPAIR: &str = "plans to observe /3/0/9; when that is not found, drops it, when it is \
                              not allowed, observes /4/0/2 in its place, and keeps it otherwise";

pub(super) const CASES: &[Case] = &[
    Case {
        name: "register-pass",
        hook: Hook::OnRegister,
        behaviour: "has no opinion",
        steps: &[
            Step::Register("x=1", Code::CREATED),
            Step::Annotations(&[("x", "1"), ("behind", "asked")]),
        ],
    },
    Case {
        name: "register-annotate",
        hook: Hook::OnRegister,
        behaviour: "annotates tenant with north, and removes x",
        steps: &[
            Step::Register("x=1&y=2", Code::CREATED),
            Step::Annotations(&[("y", "2"), ("tenant", "north"), ("behind", "asked")]),
        ],
    },
    Case {
        name: "register-accept",
        hook: Hook::OnRegister,
        behaviour: "accepts, and annotates tier with gold",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Annotations(&[("tier", "gold")]),
        ],
    },
    Case {
        name: "register-reject",
        hook: Hook::OnRegister,
        behaviour: "rejects with 4.03 and the reason `in quarantine`",
        steps: &[
            Step::Register("", Code::FORBIDDEN),
            Step::Refused(Code::FORBIDDEN, "in quarantine"),
            Step::NotRegistered,
        ],
    },
    Case {
        name: "register-lifetime",
        hook: Hook::OnRegister,
        behaviour: "annotates nothing, and sets the lifetime to 86400",
        steps: &[
            Step::Register("lt=60", Code::CREATED),
            Step::Lifetime(86_400),
        ],
    },
    Case {
        name: "register-sees",
        hook: Hook::OnRegister,
        behaviour: "annotates seen with endpoint, version, lifetime, binding, and the paths of the \
                    object list, each behind a space",
        steps: &[
            Step::Register("lt=60&b=U", Code::CREATED),
            Step::Annotations(&[
                ("seen", "a 1.1 60 U /1/0 /3/0 /4/0 /9"),
                ("behind", "asked"),
            ]),
        ],
    },
    Case {
        name: "update-sees",
        hook: Hook::OnUpdate,
        behaviour: "annotates changed with those of `lifetime` and `objects` that change, and with \
                    the lifetime and the number of paths as they will be",
        steps: &[
            Step::Register("lt=60", Code::CREATED),
            Step::Update("", "", Code::CHANGED),
            Step::Annotations(&[("behind", "asked"), ("changed", "60 4")]),
            Step::Update("lt=90", "</1/0>,</3/0>", Code::CHANGED),
            Step::Annotations(&[("behind", "asked"), ("changed", "lifetime objects 90 2")]),
        ],
    },
    Case {
        name: "update-reject",
        hook: Hook::OnUpdate,
        behaviour: "rejects with 4.04 and the reason `register again`",
        steps: &[
            Step::Register("lt=60", Code::CREATED),
            Step::Update("lt=90", "", Code::NOT_FOUND),
            Step::Refused(Code::NOT_FOUND, "register again"),
            Step::Lifetime(60),
        ],
    },
    Case {
        name: "registered-publish",
        hook: Hook::OnRegistered,
        behaviour: "publishes registered with the endpoint name as a JSON text",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Published("registered", "\"a\""),
        ],
    },
    Case {
        name: "updated-publish",
        hook: Hook::OnUpdated,
        behaviour: "publishes updated with true when the lifetime changes, else false",
        steps: &[
            Step::Register("lt=60", Code::CREATED),
            Step::Update("", "", Code::CHANGED),
            Step::Published("updated", "false"),
            Step::Update("lt=90", "", Code::CHANGED),
            Step::Published("updated", "true"),
        ],
    },
    Case {
        name: "gone-publish",
        hook: Hook::OnGone,
        behaviour: "publishes gone with the reason as a JSON text: deregistered, replaced, ...",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Register("", Code::CREATED),
            Step::Published("gone", "\"replaced\""),
            Step::Deregister,
            Step::Published("gone", "\"deregistered\""),
        ],
    },
    Case {
        name: "observe-none",
        hook: Hook::ObservePlan,
        behaviour: "has no opinion",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Read(1, &[1]),
            Step::Planned(&[]),
        ],
    },
    Case {
        name: "observe-plan",
        hook: Hook::ObservePlan,
        behaviour: "plans to observe /3/0/9, with pmin 10, where the device has it",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Attributes("3/0/9", "pmin=10"),
            Step::Observed("3/0/9", 5),
            Step::Values(&[5]),
            Step::Planned(&["/3/0/9"]),
            Step::Update("", "</1/0>,</3/0>", Code::CHANGED),
            Step::Read(1, &[1]),
            Step::Planned(&["/3/0/9"]),
        ],
    },
    Case {
        name: "observe-drop",
        hook: Hook::ObserveFailed,
        behaviour: OBSERVE_REPAIR,
        steps: &[
            Step::Register("", Code::CREATED),
            Step::ObserveRefused("3/0/9", Code::NOT_FOUND),
            Step::Update("", "</1/0>,</3/0>", Code::CHANGED),
            Step::Read(2, &[2]),
            Step::Register("", Code::CREATED),
            Step::Observed("3/0/9", 5),
            Step::Planned(&["/3/0/9"]),
        ],
    },
    Case {
        name: "observe-replace",
        hook: Hook::ObserveFailed,
        behaviour: OBSERVE_REPAIR,
        steps: &[
            Step::Register("", Code::CREATED),
            Step::ObserveRefused("3/0/9", Code::METHOD_NOT_ALLOWED),
            Step::Observed("4/0/2", 5),
            Step::Values(&[5]),
            Step::Planned(&["/4/0/2"]),
        ],
    },
    Case {
        name: "observe-keep",
        hook: Hook::ObserveFailed,
        behaviour: OBSERVE_REPAIR,
        steps: &[
            Step::Register("", Code::CREATED),
            Step::ObserveRefused("3/0/9", Code::BAD_REQUEST),
            Step::Read(2, &[2]),
            Step::Update("", "</1/0>,</3/0>", Code::CHANGED),
            Step::Observed("3/0/9", 5),
            Step::Planned(&["/3/0/9"]),
        ],
    },
    Case {
        name: "credentials",
        hook: Hook::Credentials,
        behaviour: "grants the key of the suite to the identity `granted`, denies `denied` with the \
                    reason `reported stolen`, and knows no other",
        steps: &[
            Step::Connect("granted", true),
            Step::Connect("stored", true),
            Step::Connect("denied", false),
            Step::Refused(Code::EMPTY, "reported stolen"),
            Step::Connect("unknown", false),
        ],
    },
    Case {
        name: "transform-pass",
        hook: Hook::Transform,
        behaviour: "has no opinion",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Send(1),
            Step::Values(&[1]),
            Step::Read(2, &[2]),
        ],
    },
    Case {
        name: "transform-drop",
        hook: Hook::Transform,
        behaviour: "drops what holds a negative number, and has no opinion of the rest",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Send(-1),
            Step::Send(5),
            Step::Values(&[5]),
            Step::Read(-3, &[]),
        ],
    },
    Case {
        name: "transform-replace",
        hook: Hook::Transform,
        behaviour: "doubles each integer",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Send(4),
            Step::Values(&[8]),
            Step::Read(21, &[42]),
            Step::Observe(5),
            Step::Values(&[10]),
            Step::Notify(6),
            Step::Notify(7),
            Step::Values(&[12]),
            Step::Values(&[14]),
        ],
    },
    Case {
        name: "transform-emit",
        hook: Hook::Transform,
        behaviour: "emits each value as the series battery, in %",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Send(4),
            Step::Series("battery", "%", 4),
            Step::Read(5, &[5]),
            Step::Series("battery", "%", 5),
        ],
    },
    Case {
        name: "transform-document",
        hook: Hook::Transform,
        behaviour: "makes a document of type application/json of the first value: {\"level\":N}",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Send(4),
            Step::Document("application/json", "{\"level\":4}"),
        ],
    },
    Case {
        name: "transform-fail",
        hook: Hook::Transform,
        behaviour: "fails, as a bug would make it",
        steps: &[
            Step::Register("", Code::CREATED),
            Step::Send(4),
            Step::Failed,
            Step::Values(&[4]),
        ],
    },
    Case {
        name: "firmware-select",
        hook: Hook::Firmware,
        behaviour: "chooses by the version of the image: of 2 a push into /5/0 with blocks of 1024 \
                    bytes, of 3 a pull from the first URI of the image, of 4 a push into /19/0, of \
                    5 to wait 3600 s, of 6 to refuse with the reason `broken`; of others it has no \
                    opinion",
        steps: &[
            Step::Select("1", "no opinion"),
            Step::Select("2", "push /5/0 by 1024"),
            Step::Select("3", "pull /5/0 from coap://127.0.0.1/image"),
            Step::Select("4", "push /19/0 by 1024"),
            Step::Select("5", "later, 3600 s"),
            Step::Select("6", "refused: broken"),
        ],
    },
    Case {
        name: "firmware-drive",
        hook: Hook::FirmwareStep,
        behaviour: "drives each delivery itself, with the state `s0` at first. When it starts it \
                    wants 0 written to /5/0/3, then to wait 500 ms, and keeps `s1`; what was done \
                    it takes note of by `s2`, and wants the image sent to /5/0/0 and 10 % told of; \
                    with `s2` a timer is success; called off it fails with the reason `called off`",
        steps: &[
            Step::Select("1", "custom"),
            Step::Drive(
                Happened::Started,
                "s1, running: write /5/0/3 Integer(0), wait 500 ms",
            ),
            Step::Drive(
                Happened::Done,
                "s2, running: send the image to /5/0/0, 10 %",
            ),
            Step::Drive(Happened::Timer, "succeeded"),
            Step::Drive(Happened::Cancelled, "failed: called off"),
        ],
    },
    Case {
        name: "bootstrap-configure",
        hook: Hook::Bootstrap,
        behaviour: "has /0 deleted, then 101 written to /1/0/0, 3600 to /1/0/1, true to /1/0/6 and \
                    U to /1/0/7, for every device whose parameter `site` is `north`; it knows no \
                    other",
        steps: &[
            Step::Bootstrap("site=north", Code::CHANGED),
            Step::Provisioned(Code::DELETE, "0", ""),
            Step::Provisioned(
                Code::PUT,
                "1/0",
                r#"[{"bn":"/1/0/","n":"0","v":101},{"n":"1","v":3600},{"n":"6","vb":true},{"n":"7","vs":"U"}]"#,
            ),
            Step::Finished,
            // What the store has.
            Step::Bootstrap("", Code::CHANGED),
            Step::Provisioned(Code::DELETE, "1", ""),
            Step::Finished,
        ],
    },
    Case {
        name: "bootstrap-refuse",
        hook: Hook::Bootstrap,
        behaviour: "refuses with 4.03 and the reason `not from here`",
        steps: &[
            Step::Bootstrap("", Code::FORBIDDEN),
            Step::Refused(Code::FORBIDDEN, "not from here"),
        ],
    },
    Case {
        name: "bootstrapped-publish",
        hook: Hook::OnBootstrapped,
        behaviour: "publishes bootstrapped with true when the device has taken it, else false",
        steps: &[
            Step::Bootstrap("", Code::CHANGED),
            Step::Provisioned(Code::DELETE, "1", ""),
            Step::Finished,
            Step::Published("bootstrapped", "true"),
            Step::Bootstrap("", Code::CHANGED),
            // It begins anew before it has finished.
            Step::Bootstrap("", Code::CHANGED),
            Step::Published("bootstrapped", "false"),
        ],
    },
];
