//! The calls in a script, and the functions that there are for them.

use std::collections::{BTreeMap, BTreeSet};

use rhai::{AST, ASTNode, Dynamic, Engine, Expr, FnCallExpr, FnPtr, Map, Position, Stmt};

/// What a script calls by name, and what can be called so.
pub(super) struct Calls {
    /// In their order, those of the language itself and operators left out.
    pub(super) all: Vec<Called>,
    /// The functions of the script, with their parameters.
    pub(super) own: Vec<(String, usize)>,
    /// Those of the language and of the host: with how many arguments.
    given: BTreeMap<String, BTreeSet<usize>>,
    /// Keys of maps: what stands under one may be called like a method.
    keys: BTreeSet<String>,
    /// Texts that are called, as in `"name".call()`: they are no functions.
    pub(super) texts: Vec<(String, Position)>,
    /// The first statement outside of functions.
    pub(super) outside: Option<Position>,
}

/// A call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Called {
    pub(super) name: String,
    pub(super) at: Position,
    pub(super) way: Way,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// With so many arguments.
    Function(usize),
    /// With so many besides the value before the point.
    Method(usize),
    /// By its name in a text, as in `Fn("name")`: with how many, nobody knows.
    Name,
}

/// Whether there is a function for a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// There is.
    It,
    /// There is none of this name.
    Unknown,
    /// There are some, with these numbers of arguments; none of them in this way.
    Others(BTreeSet<usize>),
}

/// What the language calls itself, and no function that is registered.
const KEYWORDS: [&str; 10] = [
    "print",
    "debug",
    "type_of",
    "Fn",
    "call",
    "curry",
    "eval",
    "is_shared",
    "is_def_var",
    "is_def_fn",
];

/// Methods of arrays that take the name of a function for a function.
const TAKE_NAMES: [&str; 10] = [
    "map",
    "filter",
    "some",
    "all",
    "reduce",
    "reduce_rev",
    "sort",
    "dedup",
    "drain",
    "retain",
];

impl Calls {
    /// Goes through a script that was compiled by this engine.
    pub(super) fn of(engine: &Engine, ast: &AST) -> Calls {
        let facts = |info: rhai::FuncInfo<'_>| {
            let known = info.metadata;
            is_name(&known.name).then(|| (known.name.to_string(), known.num_params))
        };
        let mut given: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
        for (name, parameters) in engine.collect_fn_metadata(None, facts, true) {
            given.entry(name).or_default().insert(parameters);
        }
        let own = ast.iter_functions();
        let mut calls = Calls {
            all: Vec::new(),
            own: own
                .map(|it| (it.name.to_owned(), it.params.len()))
                .collect(),
            given,
            keys: BTreeSet::new(),
            texts: Vec::new(),
            outside: None,
        };
        let mut statements = ast.statements().iter();
        let outside = statements.find(|statement| !matches!(statement, Stmt::Noop(_)));
        calls.outside = outside.map(Stmt::position);
        ast.walk(&mut |path| {
            match path.last() {
                Some(ASTNode::Expr(expression)) => calls.take(expression),
                Some(ASTNode::Stmt(Stmt::FnCall(call, at))) => calls.take_call(call, *at, false),
                _ => {}
            }
            true
        });
        let place = |call: &Called| (call.at.line(), call.at.position());
        calls.all.sort_by_key(place);
        // The walk comes to some of them twice.
        calls.all.dedup();
        calls
            .texts
            .sort_by_key(|(_, at)| (at.line(), at.position()));
        calls.texts.dedup();
        calls
    }

    fn take(&mut self, expression: &Expr) {
        match expression {
            Expr::FnCall(call, at) => self.take_call(call, *at, false),
            Expr::MethodCall(call, at) => self.take_call(call, *at, true),
            Expr::Map(map, _) => {
                let fields = map.0.iter().map(|(key, _)| key.name.to_string());
                self.keys.extend(fields);
                self.keys.extend(map.1.keys().map(ToString::to_string));
            }
            Expr::Property(property, _) => drop(self.keys.insert(property.2.to_string())),
            // As in map["key"].
            Expr::StringConstant(text, _) => drop(self.keys.insert(text.to_string())),
            Expr::DynamicConstant(value, at) => self.take_constant(value, *at),
            Expr::Dot(parts, _, _) => self.take_text(&parts.lhs, &parts.rhs),
            _ => {}
        }
    }

    fn take_call(&mut self, call: &FnCallExpr, at: Position, is_method: bool) {
        if call.op_token.is_some() || !call.namespace.is_empty() {
            return;
        }
        let name = call.name.as_str();
        let way = match is_method {
            true => Way::Method(call.args.len()),
            false => Way::Function(call.args.len()),
        };
        match (name, &call.args[..]) {
            ("Fn", [Expr::StringConstant(text, at)]) => self.take_name(text, *at, Way::Name),
            ("call", [Expr::StringConstant(text, at), ..]) if !is_method => {
                self.texts.push((text.to_string(), *at));
            }
            (name, [Expr::StringConstant(text, at), ..])
                if is_method && TAKE_NAMES.contains(&name) && !self.is_own(name) =>
            {
                self.take_name(text, *at, Way::Name);
            }
            _ => {}
        }
        self.take_name(name, at, way);
    }

    fn take_name(&mut self, name: &str, at: Position, way: Way) {
        if is_name(name) && !KEYWORDS.contains(&name) {
            let name = name.to_owned();
            self.all.push(Called { name, at, way });
        }
    }

    /// Takes what the engine has worked out before: maps, and functions by their names.
    fn take_constant(&mut self, value: &Dynamic, at: Position) {
        if let Some(map) = value.read_lock::<Map>() {
            for (key, value) in map.iter() {
                self.keys.insert(key.to_string());
                self.take_constant(value, at);
            }
        } else if let Some(items) = value.read_lock::<rhai::Array>() {
            items.iter().for_each(|item| self.take_constant(item, at));
        } else if let Some(function) = value.read_lock::<FnPtr>() {
            // Closures have names that are none.
            self.take_name(function.fn_name(), at, Way::Name);
        }
    }

    /// Takes a text that is called like a function.
    fn take_text(&mut self, before: &Expr, after: &Expr) {
        let first = match after {
            Expr::Dot(parts, _, _) | Expr::Index(parts, _, _) => &parts.lhs,
            one => one,
        };
        if let (Expr::StringConstant(text, at), Expr::MethodCall(call, _)) = (before, first)
            && call.name == "call"
        {
            self.texts.push((text.to_string(), *at));
        }
    }

    /// True for a function of the script.
    pub(super) fn is_own(&self, name: &str) -> bool {
        self.own.iter().any(|(own, _)| own == name)
    }

    /// The names that are given.
    pub(super) fn language(&self) -> impl Iterator<Item = &str> {
        self.given.keys().map(String::as_str)
    }

    /// Whether there is a function for a call. One of the script does not count what it is called on;
    /// others take it first.
    pub(super) fn takes(&self, call: &Called) -> Takes {
        let (arguments, before) = match call.way {
            Way::Function(arguments) => (arguments, 0),
            Way::Method(_) if self.keys.contains(&call.name) => return Takes::It,
            Way::Method(arguments) => (arguments, 1),
            Way::Name if self.is_own(&call.name) || self.given.contains_key(&call.name) => {
                return Takes::It;
            }
            Way::Name => return Takes::Unknown,
        };
        let own = self.own.iter().filter(|(name, _)| *name == call.name);
        let mut all: BTreeSet<usize> = own.map(|(_, parameters)| *parameters).collect();
        let given = self.given.get(&call.name);
        if all.is_empty() && given.is_none() {
            return Takes::Unknown;
        }
        // A function of the script may be called on its first argument as well.
        let on_first = all.contains(&(arguments + before));
        let given = given.into_iter().flatten().filter(|all| **all >= before);
        all.extend(given.map(|all| all - before));
        match on_first || all.contains(&arguments) {
            true => Takes::It,
            false => Takes::Others(all),
        }
    }
}

/// True for what can be the name of a function, and is no operator.
fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    let begins = letters
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_');
    begins && letters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PluginLimits;

    fn calls(script: &str) -> Calls {
        let engine = crate::script::engine::engine(&PluginLimits::default());
        let ast = engine.compile(script).expect("a script");
        Calls::of(&engine, &ast)
    }

    /// What of a script nobody takes.
    fn untaken(script: &str) -> Vec<(String, Takes)> {
        let calls = calls(script);
        let untaken = |call: &Called| match calls.takes(call) {
            Takes::It => None,
            other => Some((call.name.clone(), other)),
        };
        calls.all.iter().filter_map(untaken).collect()
    }

    #[test]
    fn what_the_language_can_do_is_known() {
        let script = r#"
            fn twice(x) { x * 2 }
            fn add(n) { this + n }
            fn run(r, list) {
                let f = |x| x + 1;
                let g = Fn("twice");
                let map = #{ act: |x| x, "other": Fn("twice"), deep: #{ inner: |a, b| a } };
                map.later = |x| x;
                let pi = PI();
                print(f.call(1)); debug(call(g, 2)); f.curry(3);
                map.act(1); map.other(2); map.deep.inner(1, 2); map.later(3);
                twice(1); 4.twice(); 5.add(6);
                list.push(1); list.map(|x| twice(x)); list.filter(|x| x in [1, 2]);
                push(list, 2); list.len(); "a".to_upper(); "b,c".split(",").len();
                for (n, i) in range(0, 3) { if type_of(n) != "i64" { throw "x"; } }
                let text = `${twice(n_of(list))} and ${list.len()}`;
                switch r.endpoint { "a" => run(r, []), _ => () }
                is_def_fn("run", 2); is_shared(map); -pi.abs(); parse_int("1").max(2);
                1.5.to_string(); r.has_object(3); list.reduce(|sum, x| sum + x, 0);
            }
            fn n_of(list) { list.len() }
        "#;
        assert_eq!(untaken(script), []);
    }

    #[test]
    fn what_nobody_has_is_found_wherever_it_stands() {
        let script = "fn run(r) {
            absnt(1);
            let a = `${lost(r)}`;
            let f = |x| gone(x);
            if missing(r) { r.nowhere(); }
            return [never(), #{ a: nil_of(r) }];
        }";
        let found: Vec<(String, Option<usize>)> = calls(script)
            .all
            .iter()
            .map(|call| (call.name.clone(), call.at.line()))
            .collect();
        let expected = [
            ("absnt", 2),
            ("lost", 3),
            ("gone", 4),
            ("missing", 5),
            ("nowhere", 5),
            ("never", 6),
            ("nil_of", 6),
        ];
        let expected = expected.map(|(name, line)| (name.to_owned(), Some(line)));
        assert_eq!(found, expected);
        let unknown = untaken(script);
        assert_eq!(unknown.len(), expected.len());
        assert!(unknown.iter().all(|(_, takes)| *takes == Takes::Unknown));
    }

    #[test]
    fn functions_that_are_named_in_texts_are_looked_for_as_well() {
        let good = r#"
            fn twice(x) { x * 2 }
            fn run(r, list) {
                let by = #{ act: Fn("twice"), all: [Fn("twice"), Fn("abs")] };
                Fn("twice").call(1); call(Fn("twice"), 1); Fn("twice").curry(1).call();
                list.map("twice"); list.map(Fn("twice")); list.reduce("max", 0); list.sort("twice");
                let f = Fn(r.name); f.call("lost"); r.map("twice"); Fn("+").call(1, 2);
                is_def_fn("lost", 1); Fn("print").call(1); [1].contains("lost"); by.act.call(2);
            }
        "#;
        let calls = calls(good);
        assert_eq!(untaken(good), []);
        assert_eq!(calls.texts, []);

        let bad = r#"fn run(list) {
            Fn("lost1").call(1);
            call(Fn("lost2"), 1);
            let by = #{ act: Fn("lost3"), deep: [Fn("lost4")] };
            list.map("lost5").filter(|x| Fn("lost6").call(x));
            list.reduce(Fn("lost7"), 0);
            `${Fn("lost8").call()}`
        }"#;
        let names = (1..9).map(|n| (format!("lost{n}"), Takes::Unknown));
        assert_eq!(untaken(bad), names.collect::<Vec<_>>());
    }

    #[test]
    fn a_text_is_not_called() {
        let script =
            "fn run(f, o) {\n\"a\".call(1); call(\"b\", 2);\nf.call(\"c\"); \"d\".call().len();\n}";
        let calls = calls(script);
        let texts = calls.texts.iter();
        let found: Vec<(&str, Option<usize>)> =
            texts.map(|(text, at)| (text.as_str(), at.line())).collect();
        assert_eq!(found, [("a", Some(2)), ("b", Some(2)), ("d", Some(3))]);
    }

    #[test]
    fn one_argument_more_is_told_apart_from_an_unknown_name() {
        let script = "fn run(a) { run(1, 2); a.PI(); parse_int(1, 2, 3) }";
        let others = |name: &str, takes: &[usize]| {
            let takes = takes.iter().copied().collect();
            (name.to_owned(), Takes::Others(takes))
        };
        let expected = [
            others("run", &[1]),
            others("PI", &[]),
            others("parse_int", &[1, 2]),
        ];
        assert_eq!(untaken(script), expected);
    }
}
