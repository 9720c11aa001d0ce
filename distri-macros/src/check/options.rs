//! The options of `#[distri::service(…)]` and `#[method(…)]`: which there are, where each belongs,
//! and what its value may be.

use std::time::Duration;

use proc_macro2::Ident;
use syn::{Expr, ExprLit, Lit, Path};

use crate::{
    complaints::Complaints,
    model::Access,
    name,
    parse::options::{Setting, Value},
};

/// Where a list of options stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Impl,
    Trait,
    TraitImpl,
    Method,
}

/// The values of a list.
#[derive(Clone, Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) version: Option<u32>,
    pub(crate) init: Option<Path>,
    pub(crate) stop: Option<Path>,
    pub(crate) health: Option<Path>,
    pub(crate) collections: Option<Path>,
    pub(crate) register: Option<bool>,
    pub(crate) access: Option<Access>,
    pub(crate) placement: Option<PlacementOption>,
    pub(crate) idempotent: Option<bool>,
    pub(crate) once: Option<bool>,
    pub(crate) hedge: Option<Hedge>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) concurrency: Option<u32>,
}

/// `placement`, before the arguments of the method are known.
#[derive(Clone)]
pub(crate) enum PlacementOption {
    Any,
    Leader,
    Every(Ident),
    Key(Ident),
}

/// `hedge`, before it is known whether the method may be asked of two nodes.
#[derive(Clone)]
pub(crate) struct Hedge {
    pub(crate) after: Duration,
    /// Where it is written; complaints belong there.
    pub(crate) at: Expr,
}

/// What an option is about, which decides where it belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    /// How callers know the service.
    Interface,
    /// How a node runs it.
    Host,
    /// How one method is called; on a service, all of them.
    Calls,
    /// How this one method is called.
    Method,
    /// The name of a service or method.
    Name,
}

const OPTIONS: [(&str, About, &str); 14] = [
    ("name", About::Name, "name = \"word-count\""),
    ("version", About::Interface, "version = 2"),
    ("init", About::Host, "init = WordCount::open"),
    ("stop", About::Host, "stop = WordCount::close"),
    ("health", About::Host, "health = WordCount::health"),
    (
        "collections",
        About::Host,
        "collections = WordCount::collections",
    ),
    ("register", About::Host, "register = false"),
    ("access", About::Calls, "access = member"),
    ("placement", About::Calls, "placement = leader"),
    ("idempotent", About::Calls, "idempotent"),
    ("once", About::Calls, "once"),
    ("hedge", About::Method, "hedge = \"50ms\""),
    ("timeout", About::Calls, "timeout = \"30s\""),
    ("concurrency", About::Calls, "concurrency = 64"),
];

const METHOD_NAME: &str = "name = \"count\"";

/// Reads `settings`; those with a mistake are complained of and left out.
pub(crate) fn read(settings: &[Setting], place: Place, complaints: &mut Complaints) -> Options {
    let mut options = Options::default();
    let mut seen: Vec<&Ident> = Vec::new();
    for setting in settings {
        let name = &setting.name;
        let Some((known, about, example)) = OPTIONS.iter().find(|(known, ..)| name == known) else {
            complaints.at(name, format!("unknown option `{name}`; {}", list(place)));
            continue;
        };
        if let Some(home) = home_elsewhere(*about, place) {
            complaints.at(name, format!("`{name}` belongs {home}"));
        } else if seen.contains(&name) {
            complaints.at(name, format!("`{name}` is given twice: remove one"));
        } else {
            seen.push(name);
            set(&mut options, known, example, setting, place, complaints);
        }
    }
    options
}

impl About {
    fn fits(self, place: Place) -> bool {
        match place {
            Place::Impl => self != Self::Method,
            Place::Trait => !matches!(self, Self::Host | Self::Method),
            Place::TraitImpl => self == Self::Host,
            Place::Method => matches!(self, Self::Calls | Self::Method | Self::Name),
        }
    }
}

fn home_elsewhere(about: About, place: Place) -> Option<&'static str> {
    if about.fits(place) {
        return None;
    }
    if about == About::Method {
        return Some("to one method: write it in `#[method(…)]`");
    }
    Some(match place {
        Place::Method => "to the whole service: write it in `#[distri::service(…)]`",
        Place::TraitImpl => {
            "to the interface, which is all that callers see: write it in `#[distri::service(…)]` \
             on the trait"
        }
        Place::Trait | Place::Impl => {
            "to the implementation: write it in `#[distri::service(…)]` on the `impl` of this trait"
        }
    })
}

fn list(place: Place) -> String {
    let fitting: Vec<_> = OPTIONS
        .iter()
        .filter(|(_, about, _)| about.fits(place))
        .map(|(known, _, example)| match (*known, place) {
            ("name", Place::Method) => format!("`{METHOD_NAME}`"),
            _ => format!("`{example}`"),
        })
        .collect();
    format!("the options here are {}", fitting.join(", "))
}

fn set(
    options: &mut Options,
    known: &str,
    example: &str,
    setting: &Setting,
    place: Place,
    complaints: &mut Complaints,
) {
    let result = match known {
        "name" => name_of(setting, place).map(|value| options.name = Some(value)),
        "version" => positive(setting, example).map(|value| options.version = Some(value)),
        "init" => function(setting, example).map(|value| options.init = Some(value)),
        "stop" => function(setting, example).map(|value| options.stop = Some(value)),
        "health" => function(setting, example).map(|value| options.health = Some(value)),
        "collections" => function(setting, example).map(|value| options.collections = Some(value)),
        "register" => yes_or_no(setting).map(|value| options.register = Some(value)),
        "access" => access(setting).map(|value| options.access = Some(value)),
        "placement" => placement(setting).map(|value| options.placement = Some(value)),
        "idempotent" => yes_or_no(setting).map(|value| options.idempotent = Some(value)),
        "once" => yes_or_no(setting).map(|value| options.once = Some(value)),
        "hedge" => hedge(setting, example).map(|value| options.hedge = Some(value)),
        "timeout" => {
            duration(setting, example, &TIMEOUT).map(|value| options.timeout = Some(value))
        }
        _ => positive(setting, example).map(|value| options.concurrency = Some(value)),
    };
    if let Err(error) = result {
        complaints.add(error);
    }
}

/// The complaint at the value, or at the name if there is none.
fn at(setting: &Setting, message: impl Into<String>) -> syn::Error {
    let message = message.into();
    match &setting.value {
        Value::Is(value) => syn::Error::new_spanned(value, message),
        Value::None | Value::List => syn::Error::new_spanned(&setting.name, message),
    }
}

fn text(setting: &Setting, example: &str) -> syn::Result<String> {
    if let Value::Is(value) = &setting.value
        && let Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) = &**value
    {
        return Ok(text.value());
    }
    Err(at(setting, format!("expected a text, as in `{example}`")))
}

fn name_of(setting: &Setting, place: Place) -> syn::Result<String> {
    if place == Place::Method {
        let name = text(setting, METHOD_NAME)?;
        if name::is_method_name(&name) {
            return Ok(name);
        }
        let message = "expected ASCII letters, digits and `_`, as in `name = \"count\"`";
        return Err(at(setting, message));
    }
    let name = text(setting, "name = \"word-count\"")?;
    if name::is_kebab_case(&name) {
        return Ok(name);
    }
    let message = "expected small ASCII letters and digits, words joined by `-`, as in \
                   `name = \"word-count\"`";
    Err(at(setting, message))
}

fn positive(setting: &Setting, example: &str) -> syn::Result<u32> {
    if let Value::Is(value) = &setting.value
        && let Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) = &**value
        && let Ok(number) = number.base10_parse::<u32>()
        && number > 0
    {
        return Ok(number);
    }
    Err(at(
        setting,
        format!("expected a number from 1, as in `{example}`"),
    ))
}

fn function(setting: &Setting, example: &str) -> syn::Result<Path> {
    if let Value::Is(value) = &setting.value
        && let Expr::Path(path) = &**value
        && path.qself.is_none()
    {
        return Ok(path.path.clone());
    }
    Err(at(
        setting,
        format!("expected a function, as in #[distri::service({example})]"),
    ))
}

fn yes_or_no(setting: &Setting) -> syn::Result<bool> {
    match &setting.value {
        Value::None => return Ok(true),
        Value::Is(value) => {
            if let Expr::Lit(ExprLit {
                lit: Lit::Bool(value),
                ..
            }) = &**value
            {
                return Ok(value.value);
            }
        }
        Value::List => {}
    }
    Err(at(
        setting,
        format!(
            "expected `true` or `false`, as in `{} = false`",
            setting.name
        ),
    ))
}

fn access(setting: &Setting) -> syn::Result<Access> {
    let message = "expected one of `public`, `authenticated`, `member`, `node`, `role(\"admin\")`, \
                   as in `access = member`";
    let Value::Is(value) = &setting.value else {
        return Err(at(setting, message));
    };
    let named = match &**value {
        Expr::Path(path) => path
            .path
            .get_ident()
            .and_then(|name| match &*name.to_string() {
                "public" => Some(Access::Public),
                "authenticated" => Some(Access::Authenticated),
                "member" => Some(Access::Member),
                "node" => Some(Access::Node),
                _ => None,
            }),
        Expr::Call(call) if is_word(&call.func, "role") && call.args.len() == 1 => {
            match &call.args[0] {
                Expr::Lit(ExprLit {
                    lit: Lit::Str(role),
                    ..
                }) if !role.value().is_empty() => Some(Access::Role(role.value())),
                _ => None,
            }
        }
        _ => None,
    };
    named.ok_or_else(|| at(setting, message))
}

fn placement(setting: &Setting) -> syn::Result<PlacementOption> {
    let message = "expected one of `any`, `leader`, `every`, `key(argument)`, as in \
                   `placement = key(user)`";
    let Value::Is(value) = &setting.value else {
        return Err(at(setting, message));
    };
    let named = match &**value {
        Expr::Path(path) => path
            .path
            .get_ident()
            .and_then(|name| match &*name.to_string() {
                "any" => Some(PlacementOption::Any),
                "leader" => Some(PlacementOption::Leader),
                "every" => Some(PlacementOption::Every(name.clone())),
                _ => None,
            }),
        Expr::Call(call) if is_word(&call.func, "key") && call.args.len() == 1 => {
            match &call.args[0] {
                Expr::Path(path) => path.path.get_ident().cloned().map(PlacementOption::Key),
                _ => None,
            }
        }
        _ => None,
    };
    named.ok_or_else(|| at(setting, message))
}

fn is_word(expression: &Expr, word: &str) -> bool {
    matches!(expression, Expr::Path(path) if path.path.is_ident(word))
}

fn hedge(setting: &Setting, example: &str) -> syn::Result<Hedge> {
    let after = duration(setting, example, &HEDGE)?;
    match &setting.value {
        Value::Is(at) => Ok(Hedge {
            after,
            at: Expr::clone(at),
        }),
        Value::None | Value::List => Err(at(setting, format!("expected `{example}`"))),
    }
}

/// What a span of time is for, which decides what is said of one that is none.
struct Span {
    /// With its article, as a sentence begins.
    what: &'static str,
    /// The unit of most values.
    unit: &'static str,
    /// What is said of no time at all.
    none: &'static str,
}

const TIMEOUT: Span = Span {
    what: "a timeout",
    unit: "s",
    none: "no call ends within no time: write a longer timeout",
};

const HEDGE: Span = Span {
    what: "the time before a hedge",
    unit: "ms",
    none: "no node answers within no time, and each call would be asked twice: write a time that one \
           call in twenty exceeds",
};

fn duration(setting: &Setting, example: &str, span: &Span) -> syn::Result<Duration> {
    let Span { what, unit, none } = span;
    let without_unit = |number: &str| {
        let name = &setting.name;
        let message = format!("{what} has a unit: write `{name} = \"{number}{unit}\"`");
        Err(at(setting, message))
    };
    if let Value::Is(value) = &setting.value
        && let Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) = &**value
    {
        return without_unit(&number.to_string());
    }
    let text = text(setting, example)?;
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if unit.is_empty() && !number.is_empty() {
        return without_unit(number);
    }
    let millis_per_unit = match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let millis = number
        .parse::<u64>()
        .ok()
        .zip(millis_per_unit)
        .and_then(|(number, millis)| number.checked_mul(millis));
    match millis {
        Some(0) => Err(at(setting, *none)),
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => {
            let message = "expected a whole number and a unit (`ms`, `s`, `m` or `h`)";
            Err(at(setting, format!("{message}, as in `{example}`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use proc_macro2::TokenStream;
    use quote::quote;

    use super::*;
    use crate::parse;

    fn read_tokens(place: Place, tokens: TokenStream) -> (Options, Vec<String>) {
        let mut complaints = Complaints::default();
        let settings = parse::options::of_tokens(tokens, &mut complaints);
        let options = read(&settings, place, &mut complaints);
        (options, complaints.messages())
    }

    fn only_complaint(place: Place, tokens: TokenStream) -> String {
        let (_, mut complaints) = read_tokens(place, tokens);
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        complaints.remove(0)
    }

    #[test]
    fn every_option_is_read() {
        let (options, complaints) = read_tokens(
            Place::Impl,
            quote!(
                name = "words",
                version = 3,
                init = Self::open,
                stop = Self::close,
                health = Self::health,
                register = true,
                access = role("admin"),
                placement = key(user),
                idempotent,
                timeout = "250ms",
                concurrency = 8
            ),
        );

        assert_eq!(complaints, [""; 0]);
        assert_eq!(options.name.as_deref(), Some("words"));
        assert_eq!(options.version, Some(3));
        assert!(options.init.is_some() && options.stop.is_some() && options.health.is_some());
        assert_eq!(options.register, Some(true));
        assert_eq!(options.access, Some(Access::Role("admin".into())));
        assert!(matches!(options.placement, Some(PlacementOption::Key(key)) if key == "user"));
        assert_eq!(options.idempotent, Some(true));
        assert_eq!(options.timeout, Some(Duration::from_millis(250)));
        assert_eq!(options.concurrency, Some(8));
    }

    #[test]
    fn a_timeout_is_a_whole_number_and_a_unit() {
        for (text, millis) in [
            ("1ms", 1),
            ("2s", 2_000),
            ("3m", 180_000),
            ("1h", 3_600_000),
        ] {
            let (options, complaints) = read_tokens(Place::Method, quote!(timeout = #text));
            assert_eq!(complaints, [""; 0]);
            assert_eq!(options.timeout, Some(Duration::from_millis(millis)));
        }
        for text in [
            "",
            "s",
            "1.5s",
            "-1s",
            "5 s",
            "5d",
            "99999999999999999999s",
            "18446744073709551615h",
        ] {
            let complaint = only_complaint(Place::Method, quote!(timeout = #text));
            assert!(
                complaint.contains("whole number and a unit"),
                "{text}: {complaint}"
            );
        }
    }

    #[test]
    fn a_timeout_without_a_unit_is_told_which_to_write() {
        for tokens in [quote!(timeout = 30), quote!(timeout = "30")] {
            let complaint = only_complaint(Place::Method, tokens);
            assert_eq!(complaint, "a timeout has a unit: write `timeout = \"30s\"`");
        }
    }

    #[test]
    fn the_time_before_a_hedge_is_more_than_none_and_has_a_unit() {
        let (options, complaints) = read_tokens(Place::Method, quote!(hedge = "50ms"));
        assert_eq!(complaints, [""; 0]);
        assert_eq!(options.hedge.unwrap().after, Duration::from_millis(50));

        for (tokens, expected) in [
            (quote!(hedge = 50), "write `hedge = \"50ms\"`"),
            (quote!(hedge = "50"), "write `hedge = \"50ms\"`"),
            (quote!(hedge = "0ms"), "one call in twenty"),
            (quote!(hedge = "soon"), "as in `hedge = \"50ms\"`"),
            (quote!(hedge), "as in `hedge = \"50ms\"`"),
            (quote!(hedge = true), "as in `hedge = \"50ms\"`"),
        ] {
            let complaint = only_complaint(Place::Method, tokens.clone());
            assert!(complaint.contains(expected), "{tokens}: {complaint}");
        }
    }

    #[test]
    fn a_misplaced_option_is_told_where_it_belongs() {
        let complaint = only_complaint(Place::Method, quote!(version = 2));
        assert!(complaint.contains("to the whole service"), "{complaint}");

        for place in [Place::Impl, Place::Trait, Place::TraitImpl] {
            let complaint = only_complaint(place, quote!(hedge = "50ms"));
            assert!(complaint.contains("to one method"), "{complaint}");
        }

        let complaint = only_complaint(Place::TraitImpl, quote!(timeout = "2s"));
        assert!(complaint.contains("on the trait"), "{complaint}");

        let complaint = only_complaint(Place::Trait, quote!(init = open));
        assert!(
            complaint.contains("on the `impl` of this trait"),
            "{complaint}"
        );
    }

    #[test]
    fn an_unknown_option_is_told_the_options_of_its_place() {
        let complaint = only_complaint(Place::Method, quote!(retries = 2));

        assert!(
            complaint.starts_with("unknown option `retries`"),
            "{complaint}"
        );
        assert!(complaint.contains("idempotent"), "{complaint}");
        assert!(!complaint.contains("init"), "{complaint}");
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_shown_a_right_one() {
        for (tokens, expected) in [
            (quote!(name = words), "as in `name = \"word-count\"`"),
            (quote!(name = "WordCount"), "as in `name = \"word-count\"`"),
            (quote!(version = 0), "as in `version = 2`"),
            (quote!(version = "2"), "as in `version = 2`"),
            (quote!(version), "as in `version = 2`"),
            (
                quote!(init = "open"),
                "as in #[distri::service(init = WordCount::open)]",
            ),
            (
                quote!(init = open()),
                "as in #[distri::service(init = WordCount::open)]",
            ),
            (quote!(register = no), "as in `register = false`"),
            (quote!(access = "member"), "as in `access = member`"),
            (quote!(access = role()), "as in `access = member`"),
            (quote!(access = role("")), "as in `access = member`"),
            (quote!(placement = key), "as in `placement = key(user)`"),
            (
                quote!(placement = key("user")),
                "as in `placement = key(user)`",
            ),
            (quote!(placement(leader)), "as in `placement = key(user)`"),
            (quote!(idempotent = 1), "as in `idempotent = false`"),
            (quote!(timeout("5s")), "as in `timeout = \"30s\"`"),
            (quote!(timeout = "0s"), "write a longer timeout"),
            (quote!(concurrency = 0), "as in `concurrency = 64`"),
            (
                quote!(concurrency = 5_000_000_000),
                "as in `concurrency = 64`",
            ),
        ] {
            let complaint = only_complaint(Place::Impl, tokens.clone());
            assert!(complaint.contains(expected), "{tokens}: {complaint}");
        }
    }
}
