//! Who gives out which object ids (Core 1.2.2 §7.1, OMNA's registry).

/// A range of object ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdClass {
    /// 0 to 1023: OMA's own objects.
    Oma,
    /// 2048 to 10240: objects of other standards organisations.
    Standards,
    /// 10241 to 32768: objects of vendors and of single persons.
    Vendor,
    /// 32769 to 42768: blocks of ids that companies have reserved.
    Company,
    /// 42769 to 42800: for tests, never registered.
    Test,
    /// The rest, which nobody may use yet.
    Unassigned,
}

impl IdClass {
    pub(crate) const fn of(id: u16) -> IdClass {
        match id {
            0..=1023 => IdClass::Oma,
            2048..=10240 => IdClass::Standards,
            10241..=32768 => IdClass::Vendor,
            32769..=42768 => IdClass::Company,
            42769..=42800 => IdClass::Test,
            1024..=2047 | 42801.. => IdClass::Unassigned,
        }
    }

    /// The word in the URN, `urn:oma:lwm2m:{word}:{id}`.
    pub(crate) const fn urn_word(self) -> &'static str {
        match self {
            IdClass::Oma => "oma",
            IdClass::Standards => "ext",
            IdClass::Vendor | IdClass::Company | IdClass::Test | IdClass::Unassigned => "x",
        }
    }

    /// What one who takes an id of this class should know.
    pub(crate) const fn advice(self) -> &'static str {
        match self {
            IdClass::Oma => {
                "ids 0 to 1023 are given out by OMA for its own objects: take one from 10241 to \
                 32768 and register it, or one from 42769 to 42800 for a test"
            }
            IdClass::Standards => {
                "ids 2048 to 10240 are for standards organisations, and registered by OMA: take \
                 one from 10241 to 32768 for an object of your own"
            }
            IdClass::Vendor => {
                "ids 10241 to 32768 are for vendors: register it with OMA before devices with it \
                 leave the house, or somebody else may get the same id"
            }
            IdClass::Company => {
                "ids 32769 to 42768 are reserved in blocks: use them when this block is your \
                 company's"
            }
            IdClass::Test => {
                "ids 42769 to 42800 are for tests and never registered: others use the same"
            }
            IdClass::Unassigned => {
                "ids 1024 to 2047 and those above 42800 are assigned to nobody: take one from \
                 10241 to 32768, or from 42769 to 42800 for a test"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_meet_without_gap_or_overlap() {
        let edges = [
            (0, IdClass::Oma),
            (1023, IdClass::Oma),
            (1024, IdClass::Unassigned),
            (2047, IdClass::Unassigned),
            (2048, IdClass::Standards),
            (10240, IdClass::Standards),
            (10241, IdClass::Vendor),
            (32768, IdClass::Vendor),
            (32769, IdClass::Company),
            (42768, IdClass::Company),
            (42769, IdClass::Test),
            (42800, IdClass::Test),
            (42801, IdClass::Unassigned),
            (65535, IdClass::Unassigned),
        ];
        for (id, class) in edges {
            assert_eq!(IdClass::of(id), class, "{id}");
        }
    }
}
