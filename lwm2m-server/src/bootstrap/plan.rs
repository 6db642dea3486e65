//! What is done to a device, in which order.

use std::fmt;
use std::ops::Deref;

use lwm2m_core::{ContentFormat, Path, Record, Value};
use zeroize::Zeroize;

use super::ServerAccount;

/// What a bootstrap session does before its Bootstrap-Finish, in this order.
///
/// Nothing of it is printed but paths: the values are keys, mostly.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct BootstrapPlan {
    /// What is done.
    pub operations: Vec<BootstrapOperation>,
    /// The format to write in, whatever the device prefers; none to go by the device.
    pub content_format: Option<ContentFormat>,
    /// What a refused operation does to the session.
    pub on_failure: FailurePolicy,
}

/// One operation of the bootstrap interface (Core 1.2.2 §6.1.7).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum BootstrapOperation {
    /// Bootstrap-Discover of everything (`/`) or of an object.
    ///
    /// It tells where the account of the bootstrap server itself is, so that nothing is written
    /// over it, and which version the device has.
    Discover(Path),
    /// Bootstrap-Delete of everything (`/`), an object or an object instance. The account of the
    /// bootstrap server stays.
    Delete(Path),
    /// Bootstrap-Write to an object, an object instance or a resource.
    Write {
        /// Where, at or above all the records.
        path: Path,
        /// The values.
        records: BootstrapRecords,
    },
    /// Bootstrap-Read of `/1` or `/2`, or of an instance of them (1.1): what was written there is
    /// compared with what the device says.
    Read(Path),
}

/// What a refused operation does to a session. The failure is an event in any case; a device that
/// does not answer at all ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// A refused Write to an account (objects 0, 1 and 21) ends it, anything else does not: the
    /// device judges at the Finish.
    #[default]
    Accounts,
    /// Everything is tried, and the device judges at the Finish.
    Continue,
    /// The first refused operation ends it.
    Stop,
}

impl BootstrapPlan {
    /// A plan that does nothing yet.
    pub fn new() -> BootstrapPlan {
        BootstrapPlan::default()
    }

    /// A plan that looks where the bootstrap server's own account is, and removes all others; their
    /// successors follow.
    pub fn replacing_accounts() -> BootstrapPlan {
        BootstrapPlan::new()
            .discover(Path::ROOT)
            .delete(Path::object(0))
            .delete(Path::object(1))
    }

    /// Adds a Bootstrap-Discover.
    pub fn discover(self, path: Path) -> BootstrapPlan {
        self.with(BootstrapOperation::Discover(path))
    }

    /// Adds a Bootstrap-Delete.
    pub fn delete(self, path: Path) -> BootstrapPlan {
        self.with(BootstrapOperation::Delete(path))
    }

    /// Adds a Bootstrap-Write for each object instance that the records lie in.
    pub fn write(mut self, records: impl IntoIterator<Item = Record<'static>>) -> BootstrapPlan {
        let first = self.operations.len();
        for record in records {
            let instance = record.path.truncated(2);
            let of_instance = self
                .operations
                .iter_mut()
                .skip(first)
                .find_map(|op| match op {
                    BootstrapOperation::Write { path, records } if *path == instance => {
                        Some(records)
                    }
                    _ => None,
                });
            match of_instance {
                Some(records) => records.0.push(record),
                None => self.operations.push(BootstrapOperation::Write {
                    path: instance,
                    records: vec![record].into(),
                }),
            }
        }
        self
    }

    /// Adds what it takes to have an account, in the first instances that the plan does not use yet:
    /// a Security object, an OSCORE object where the account has one, a Server object.
    pub fn account(self, account: &ServerAccount) -> BootstrapPlan {
        let free = |object| {
            let used = |id| self.instances_of(object).any(|instance| instance == id);
            (0..=Path::MAX_ID).find(|id| !used(*id)).unwrap_or_default()
        };
        let records = account.records(free(0), free(21), free(1));
        self.write(records)
    }

    /// Adds a Bootstrap-Read that compares.
    pub fn read(self, path: Path) -> BootstrapPlan {
        self.with(BootstrapOperation::Read(path))
    }

    /// Adds an operation.
    pub fn with(mut self, operation: BootstrapOperation) -> BootstrapPlan {
        self.operations.push(operation);
        self
    }

    /// The object instances of an object that the plan writes to.
    pub(super) fn instances_of(&self, object: u16) -> impl Iterator<Item = u16> + '_ {
        self.records()
            .filter(move |record| record.path.object_id() == Some(object))
            .filter_map(|record| record.path.instance_id())
    }

    /// Everything that it writes.
    pub(super) fn records(&self) -> impl Iterator<Item = &Record<'static>> + '_ {
        let written = self.operations.iter().filter_map(|op| match op {
            BootstrapOperation::Write { records, .. } => Some(records.iter()),
            _ => None,
        });
        written.flatten()
    }
}

impl BootstrapOperation {
    /// The name in events.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            BootstrapOperation::Discover(_) => "discover",
            BootstrapOperation::Delete(_) => "delete",
            BootstrapOperation::Write { .. } => "write",
            BootstrapOperation::Read(_) => "read",
        }
    }

    /// What it is about.
    pub fn path(&self) -> Path {
        match self {
            BootstrapOperation::Discover(path)
            | BootstrapOperation::Delete(path)
            | BootstrapOperation::Write { path, .. }
            | BootstrapOperation::Read(path) => *path,
        }
    }
}

/// Records whose values are wiped when they go, and never printed.
#[derive(Clone, PartialEq, Default)]
pub struct BootstrapRecords(Vec<Record<'static>>);

impl From<Vec<Record<'static>>> for BootstrapRecords {
    fn from(records: Vec<Record<'static>>) -> BootstrapRecords {
        BootstrapRecords(records)
    }
}

impl Deref for BootstrapRecords {
    type Target = [Record<'static>];

    fn deref(&self) -> &[Record<'static>] {
        &self.0
    }
}

impl Drop for BootstrapRecords {
    fn drop(&mut self) {
        for record in &mut self.0 {
            match &mut record.value {
                Value::Opaque(bytes) => bytes.to_mut().zeroize(),
                Value::String(text) | Value::CoreLink(text) => text.to_mut().zeroize(),
                _ => {}
            }
        }
    }
}

impl fmt::Debug for BootstrapRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let paths = self.0.iter().map(|record| &record.path);
        f.debug_list().entries(paths).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bootstrap::AccountSecurity;
    use crate::credentials::SecretKey;

    fn psk() -> AccountSecurity {
        AccountSecurity::Psk {
            identity: b"a".to_vec(),
            key: SecretKey::new(b"a key of secrets").expect("a key"),
        }
    }

    #[test]
    fn accounts_do_not_get_into_each_others_way() {
        let plan = BootstrapPlan::replacing_accounts()
            .account(&ServerAccount::new(1, "coaps://a", psk()))
            .account(&ServerAccount::new(2, "coaps://b", psk()));
        let paths: Vec<String> = plan
            .operations
            .iter()
            .map(|op| format!("{} {}", op.name(), op.path()))
            .collect();
        assert_eq!(
            paths,
            [
                "discover /",
                "delete /0",
                "delete /1",
                "write /0/0",
                "write /1/0",
                "write /0/1",
                "write /1/1"
            ]
        );
    }

    #[test]
    fn nothing_is_printed_but_paths() {
        let plan = BootstrapPlan::new().account(&ServerAccount::new(1, "coaps://a", psk()));
        let printed = format!("{plan:?}");
        assert!(printed.contains("/0/0/5"), "{printed}");
        for secret in ["secrets", "115, 101, 99", "coaps"] {
            assert!(!printed.contains(secret), "{printed}");
        }
    }
}
