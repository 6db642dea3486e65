//! The notification attributes that a server has attached (Core 1.2.2 §5.1.2, §7.3).

use lwm2m_core::{Attributes, Path, PathLevel};

use super::Conditions;
use crate::Refusal;

/// Attributes by the path they are attached to.
#[derive(Debug, Clone, Default)]
pub(crate) struct AttributeTable {
    entries: Vec<(Path, Attributes)>,
}

impl AttributeTable {
    /// The most paths that attributes are attached to.
    pub(crate) const PATHS_MAX: usize = 256;

    /// Attaches, changes and detaches, all or nothing.
    ///
    /// # Errors
    /// 4.00 when the set contradicts itself afterwards or there are too many.
    pub(crate) fn write(&mut self, path: Path, change: &Attributes) -> Result<(), Refusal> {
        let at = self.entries.binary_search_by_key(&path, |(path, _)| *path);
        let mut attributes = match at {
            Ok(at) => self.entries[at].1.clone(),
            Err(_) => Attributes::default(),
        };
        merge(&mut attributes, change);
        consistent(&attributes)?;
        match at {
            Ok(at) if attributes.is_empty() => {
                self.entries.remove(at);
            }
            Ok(at) => self.entries[at].1 = attributes,
            Err(_) if attributes.is_empty() => {}
            Err(_) if self.entries.len() >= AttributeTable::PATHS_MAX => {
                return Err(Refusal::bad_request("attributes on too many paths"));
            }
            Err(at) => self.entries.insert(at, (path, attributes)),
        }
        Ok(())
    }

    /// Forgets what is attached to a path and below it.
    pub(crate) fn forget(&mut self, path: &Path) {
        self.entries.retain(|(other, _)| !path.contains(other));
    }

    /// What is attached to the path itself.
    pub(crate) fn own(&self, path: &Path) -> Attributes {
        let at = self.entries.binary_search_by_key(path, |(path, _)| *path);
        at.map_or_else(|_| Attributes::default(), |at| self.entries[at].1.clone())
    }

    /// What holds for a path: the lowest level wins, attribute by attribute, and `defaults` give
    /// what no level says.
    pub(crate) fn effective(&self, path: &Path, defaults: &Attributes) -> Attributes {
        let mut effective = self.own(path);
        let mut above = *path;
        while let Some(parent) = above.parent() {
            fill(&mut effective, &self.own(&parent));
            above = parent;
        }
        fill(&mut effective, defaults);
        effective
    }
}

impl Conditions {
    /// The conditions of a path at a level; limits and steps apply to values only.
    pub(crate) fn new(attributes: &Attributes, level: PathLevel) -> Conditions {
        let value = level >= PathLevel::Resource;
        let pmin_s = attributes.pmin.flatten().unwrap_or(0);
        Conditions {
            pmin_s,
            pmax_s: attributes
                .pmax
                .flatten()
                .filter(|pmax| *pmax > 0 && *pmax >= pmin_s),
            gt: attributes.gt.flatten().filter(|_| value),
            lt: attributes.lt.flatten().filter(|_| value),
            st: attributes.st.flatten().filter(|_| value),
            edge: attributes.edge.flatten().filter(|_| value),
            epmin_s: attributes.epmin.flatten().unwrap_or(0),
        }
    }
}

/// The query items and link parameters of a set, in the order of the specification's examples.
pub(crate) fn parameters(attributes: &Attributes) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    let mut add = |key, value: Option<String>| {
        if let Some(value) = value {
            out.push((key, value));
        }
    };
    let whole = |v: Option<Option<u32>>| v.flatten().map(|v| v.to_string());
    let number = |v: Option<Option<f64>>| v.flatten().map(|v| v.to_string());
    let truth = |v: bool| u8::from(v).to_string();
    add("pmin", whole(attributes.pmin));
    add("pmax", whole(attributes.pmax));
    add("gt", number(attributes.gt));
    add("lt", number(attributes.lt));
    add("st", number(attributes.st));
    add("epmin", whole(attributes.epmin));
    add("epmax", whole(attributes.epmax));
    let rising = |edge| truth(edge == lwm2m_core::Edge::Rising);
    add("edge", attributes.edge.flatten().map(rising));
    add("con", attributes.con.flatten().map(truth));
    add("hqmax", whole(attributes.hqmax));
    out
}

fn merge(stored: &mut Attributes, change: &Attributes) {
    fn one<T: Copy>(stored: &mut Option<Option<T>>, change: Option<Option<T>>) {
        match change {
            None => {}
            Some(None) => *stored = None,
            Some(value) => *stored = Some(value),
        }
    }
    one(&mut stored.pmin, change.pmin);
    one(&mut stored.pmax, change.pmax);
    one(&mut stored.gt, change.gt);
    one(&mut stored.lt, change.lt);
    one(&mut stored.st, change.st);
    one(&mut stored.epmin, change.epmin);
    one(&mut stored.epmax, change.epmax);
    one(&mut stored.edge, change.edge);
    one(&mut stored.con, change.con);
    one(&mut stored.hqmax, change.hqmax);
}

fn fill(lower: &mut Attributes, upper: &Attributes) {
    lower.pmin = lower.pmin.or(upper.pmin);
    lower.pmax = lower.pmax.or(upper.pmax);
    lower.gt = lower.gt.or(upper.gt);
    lower.lt = lower.lt.or(upper.lt);
    lower.st = lower.st.or(upper.st);
    lower.epmin = lower.epmin.or(upper.epmin);
    lower.epmax = lower.epmax.or(upper.epmax);
    lower.edge = lower.edge.or(upper.edge);
    lower.con = lower.con.or(upper.con);
    lower.hqmax = lower.hqmax.or(upper.hqmax);
}

/// `lt < gt`, `lt + 2*st < gt`, `epmin < epmax`. A pmax below pmin is not an error: it is ignored.
fn consistent(attributes: &Attributes) -> Result<(), Refusal> {
    let step = attributes.st.flatten().unwrap_or(0.0);
    if step < 0.0 {
        return Err(Refusal::bad_request("st is not negative"));
    }
    if let (Some(lt), Some(gt)) = (attributes.lt.flatten(), attributes.gt.flatten())
        && lt + 2.0 * step >= gt
    {
        return Err(Refusal::bad_request("lt + 2*st is below gt"));
    }
    if let (Some(epmin), Some(epmax)) = (attributes.epmin.flatten(), attributes.epmax.flatten())
        && epmin >= epmax
    {
        return Err(Refusal::bad_request("epmin is below epmax"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pmin_pmax(pmin: Option<u32>, pmax: Option<u32>) -> Attributes {
        Attributes {
            pmin: pmin.map(Some),
            pmax: pmax.map(Some),
            ..Attributes::default()
        }
    }

    #[test]
    fn the_lowest_level_wins_attribute_by_attribute() {
        let mut table = AttributeTable::default();
        table
            .write(Path::object(3), &pmin_pmax(Some(10), Some(200)))
            .unwrap();
        table
            .write(Path::instance(3, 0), &pmin_pmax(None, Some(320)))
            .unwrap();
        let defaults = pmin_pmax(Some(1), Some(2));
        let effective = table.effective(&Path::resource(3, 0, 11), &defaults);
        assert_eq!(effective, pmin_pmax(Some(10), Some(320)));
        assert_eq!(table.effective(&Path::object(4), &defaults), defaults);
    }

    #[test]
    fn a_key_without_value_detaches() {
        let mut table = AttributeTable::default();
        table
            .write(Path::object(3), &pmin_pmax(Some(10), Some(20)))
            .unwrap();
        let unset = Attributes {
            pmin: Some(None),
            ..Attributes::default()
        };
        table.write(Path::object(3), &unset).unwrap();
        assert_eq!(table.own(&Path::object(3)), pmin_pmax(None, Some(20)));
    }

    #[test]
    fn refuses_sets_that_contradict_themselves_after_merging() {
        let path = Path::resource(3303, 0, 5700);
        let mut table = AttributeTable::default();
        let set = |lt: Option<f64>, gt: Option<f64>, st: Option<f64>| Attributes {
            lt: lt.map(Some),
            gt: gt.map(Some),
            st: st.map(Some),
            ..Attributes::default()
        };
        table
            .write(path, &set(Some(10.0), Some(30.0), None))
            .unwrap();
        assert!(table.write(path, &set(None, None, Some(10.0))).is_err());
        assert!(table.write(path, &set(Some(30.0), None, None)).is_err());
        assert_eq!(
            table.own(&path),
            set(Some(10.0), Some(30.0), None),
            "nothing changed"
        );
        table.write(path, &set(None, None, Some(9.0))).unwrap();
    }

    #[test]
    fn paths_are_bounded() {
        let mut table = AttributeTable::default();
        let set = pmin_pmax(Some(1), None);
        for object in 0..AttributeTable::PATHS_MAX {
            table.write(Path::object(object as u16), &set).unwrap();
        }
        assert!(table.write(Path::object(60_000), &set).is_err());
        table.write(Path::object(0), &set).unwrap();
    }
}
