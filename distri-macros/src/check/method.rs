//! One method: its signature and its options.

use proc_macro2::{Ident, Span};
use syn::{
    FnArg, GenericArgument, Pat, PatType, PathArguments, Receiver, ReturnType, Signature, Type,
    ext::IdentExt, parse_quote, spanned::Spanned,
};

use crate::{
    check::{
        again::Again,
        options::{self, Options, Place, PlacementOption},
        types,
    },
    complaints::Complaints,
    model::{Argument, BrokenMethod, Method, Placement},
    name,
    parse::{self, Function},
};

/// What the rules for a method depend on besides the method.
pub(crate) struct Surroundings<'a> {
    /// The options of the whole service, which hold where a method has none of its own.
    pub(crate) options: &'a Options,
    /// The type of the `impl`; `None` in a trait, where there is none.
    pub(crate) self_type: Option<&'a Type>,
}

/// Checks one function of `service`.
pub(crate) fn check(
    function: &Function,
    surroundings: &Surroundings<'_>,
    service: &Ident,
    complaints: &mut Complaints,
) -> Result<Method, Box<BrokenMethod>> {
    let signature = &function.signature;
    let before = complaints.count();
    let kind = kind(signature, surroundings, complaints);
    let options = method_options(function, service, complaints);
    let Some(receiver_is_there) = kind else {
        return Err(broken(signature));
    };
    let (takes_context, arguments) =
        arguments(function, receiver_is_there, surroundings, complaints);
    let output = output(signature, surroundings, complaints);
    let streams = |argument: &Argument| types::has_stream(&argument.ty);
    let client_streams = arguments.iter().any(streams);
    let service_wide = surroundings.options;
    let placement = placement(&options, surroundings, signature, &arguments, complaints);
    let idempotent = options.idempotent.or(service_wide.idempotent);
    let timeout = options.timeout.or(service_wide.timeout);
    let again = Again {
        name: &signature.ident,
        idempotent: idempotent.unwrap_or(false),
        timeout,
    };
    let once = options.once.or(service_wide.once).unwrap_or(false);
    if once {
        again.check_once(takes_context, complaints);
    }
    let streams_back = output.as_ref().is_some_and(|(ty, _)| types::has_stream(ty));
    if let Some(hedge) = &options.hedge {
        let streams = client_streams || streams_back;
        again.check_hedge(hedge, &placement, streams, complaints);
    }
    let (Some((output, output_span)), true) = (output, complaints.count() == before) else {
        return Err(broken(signature));
    };
    Ok(Method {
        ident: signature.ident.clone(),
        name: options
            .name
            .unwrap_or_else(|| signature.ident.unraw().to_string()),
        attributes: function
            .attributes
            .iter()
            .filter(|attribute| parse::is(attribute, "doc") || parse::is(attribute, "deprecated"))
            .cloned()
            .collect(),
        docs: parse::docs(&function.attributes),
        takes_context,
        arguments,
        client_streams,
        server_streams: streams_back,
        output,
        output_span,
        access: options
            .access
            .or_else(|| service_wide.access.clone())
            .unwrap_or_default(),
        placement,
        idempotent: again.idempotent,
        once,
        hedge: options.hedge.map(|hedge| hedge.after),
        timeout,
        concurrency: options.concurrency.or(service_wide.concurrency),
    })
}

/// Whether the function is a method at all: async, on `&self`, for one set of types. If not, the
/// first reason is told and the rest of the signature is not looked at (`None`); otherwise, whether
/// it has a receiver.
fn kind(
    signature: &Signature,
    surroundings: &Surroundings<'_>,
    complaints: &mut Complaints,
) -> Option<bool> {
    let name = &signature.ident;
    let elsewhere = match surroundings.self_type {
        Some(_) => "to an `impl` block without `#[distri::service]`",
        None => "to a trait of their own",
    };
    if signature.asyncness.is_none() {
        complaints.at(
            signature.fn_token,
            format!(
                "a service method is async: write `async fn {name}`, or move helpers {elsewhere}"
            ),
        );
        return None;
    }
    let Some(receiver) = signature.receiver() else {
        complaints.at(
            name,
            format!("a service method takes `&self` first: add it, or move functions without it {elsewhere}"),
        );
        return None;
    };
    check_receiver(receiver, complaints);
    if let Some(unsafety) = &signature.unsafety {
        complaints.at(
            unsafety,
            "callers elsewhere cannot promise anything: remove `unsafe`",
        );
    }
    if let Some(abi) = &signature.abi {
        complaints.at(abi, "a service method has no foreign ABI: remove this");
    }
    if !signature.generics.params.is_empty() {
        complaints.at(
            &signature.generics,
            "callers elsewhere need to know the types: write them out instead of generic parameters",
        );
        return None;
    }
    if is_taken(name) {
        complaints.at(
            name,
            format!("the generated client has a function `{name}` of its own: call the method otherwise (with #[method(name = \"{name}\")] callers elsewhere see no difference)"),
        );
    }
    Some(true)
}

fn check_receiver(receiver: &Receiver, complaints: &mut Complaints) {
    let is_shared_reference = receiver.colon_token.is_none()
        && receiver.mutability.is_none()
        && receiver
            .reference
            .as_ref()
            .is_some_and(|(_, lifetime)| lifetime.is_none());
    if is_shared_reference {
        return;
    }
    let message = if receiver.reference.is_some() && receiver.mutability.is_some() {
        "calls run at the same time: write `&self`, and keep what changes in a `Mutex` or an atomic"
    } else {
        "one instance serves all calls: write `&self`"
    };
    complaints.at(receiver, message);
}

fn method_options(function: &Function, service: &Ident, complaints: &mut Complaints) -> Options {
    if let [_, again, ..] = function.method_attributes.as_slice() {
        complaints.at(
            again,
            "one `#[method(…)]` holds all options: move these into the first",
        );
    }
    for attribute in &function.attributes {
        if parse::is(attribute, "cfg") {
            complaints.at(
                attribute,
                format!("`{service}` has the same methods in every build, because callers are built elsewhere: remove the `#[cfg]`, or move the method to a service of its own"),
            );
        }
    }
    options::read(&function.settings, Place::Method, complaints)
}

/// Whether there is a `&Context`, and the arguments that travel.
fn arguments(
    function: &Function,
    receiver_is_there: bool,
    surroundings: &Surroundings<'_>,
    complaints: &mut Complaints,
) -> (bool, Vec<Argument>) {
    let mut takes_context = false;
    let mut arguments: Vec<Argument> = Vec::new();
    let inputs = function
        .signature
        .inputs
        .iter()
        .zip(&function.parameter_attributes);
    for (place, (input, attributes)) in inputs.skip(usize::from(receiver_is_there)).enumerate() {
        let FnArg::Typed(input) = input else { continue };
        for attribute in attributes {
            if !parse::is(attribute, "doc") {
                complaints.at(
                    attribute,
                    "an argument takes no attributes but a doc comment (one that callers may leave \
                     out is an `Option`)",
                );
            }
        }
        match context(&input.ty) {
            Some(ContextForm::Reference) if place == 0 => takes_context = true,
            Some(ContextForm::Reference) if takes_context => {
                complaints.at(input, "one `&Context` is enough: remove this");
            }
            Some(ContextForm::Reference) => {
                complaints.at(
                    input,
                    "`&Context` comes first: move it to right after `&self`",
                );
            }
            Some(ContextForm::Other) => {
                complaints.at(
                    &input.ty,
                    "the context is lent for the call: write `&Context`",
                );
            }
            None => {
                let Some(argument) = argument(input, attributes, surroundings, complaints) else {
                    continue;
                };
                // Two of the very same name are the compiler's to report.
                let twin = |other: &&Argument| {
                    other.name == argument.name && other.ident != argument.ident
                };
                if let Some(twin) = arguments.iter().find(twin) {
                    let (name, twin) = (&argument.name, &twin.ident);
                    complaints.at(
                        &argument.ident,
                        format!("callers cannot tell this from `{twin}`, as both are `{name}` to them: choose another name"),
                    );
                }
                arguments.push(argument);
            }
        }
    }
    (takes_context, arguments)
}

enum ContextForm {
    /// `&Context`
    Reference,
    /// `Context`, `&mut Context`
    Other,
}

fn context(ty: &Type) -> Option<ContextForm> {
    let is_context = |ty: &Type| {
        parse::last_segment(ty)
            .is_some_and(|segment| segment.ident == "Context" && segment.arguments.is_none())
    };
    match ty {
        Type::Reference(reference) if is_context(&reference.elem) => {
            Some(match reference.mutability {
                None => ContextForm::Reference,
                Some(_) => ContextForm::Other,
            })
        }
        ty if is_context(ty) => Some(ContextForm::Other),
        _ => None,
    }
}

fn argument(
    input: &PatType,
    attributes: &[syn::Attribute],
    surroundings: &Surroundings<'_>,
    complaints: &mut Complaints,
) -> Option<Argument> {
    types::check(
        &input.ty,
        "an argument",
        surroundings.self_type.is_none(),
        complaints,
    );
    let ident = match &*input.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            pattern.ident.clone()
        }
        Pat::Wild(pattern) => {
            complaints.at(
                pattern,
                "callers give arguments by name: write one (with a leading `_` while unused)",
            );
            return None;
        }
        pattern => {
            complaints.at(
                pattern,
                "callers give arguments by name: write one, and take the value apart in the body",
            );
            return None;
        }
    };
    Some(Argument {
        name: name::argument(&ident),
        ident,
        ty: concrete(&input.ty, surroundings),
        attributes: attributes
            .iter()
            .filter(|a| parse::is(a, "doc"))
            .cloned()
            .collect(),
    })
}

/// `ty` for code outside of the user's `impl`.
fn concrete(ty: &Type, surroundings: &Surroundings<'_>) -> Type {
    match surroundings.self_type {
        Some(self_type) => types::without_self(ty, self_type),
        None => ty.clone(),
    }
}

/// `T` of the `Result<T, _>` that is returned, and where the `Result` is written.
fn output(
    signature: &Signature,
    surroundings: &Surroundings<'_>,
    complaints: &mut Complaints,
) -> Option<(Type, Span)> {
    let written = match &signature.output {
        ReturnType::Type(_, ty) => &**ty,
        ReturnType::Default => {
            complaints.at(
                &signature.ident,
                "every call can fail: write `-> Result<()>`",
            );
            return None;
        }
    };
    let result = parse::last_segment(written)
        .filter(|segment| segment.ident.to_string().ends_with("Result"));
    let Some(result) = result else {
        let message = match written {
            Type::ImplTrait(_) => "every call can fail, and its result has a name: write \
                                   `-> Result<…>` around a concrete type"
                .to_owned(),
            ty => format!(
                "every call can fail: write `-> Result<{}>`",
                types::display(ty)
            ),
        };
        complaints.at(written, message);
        return None;
    };
    let value = match &result.arguments {
        PathArguments::AngleBracketed(list) => {
            list.args.iter().find_map(|argument| match argument {
                GenericArgument::Type(ty) => Some(ty),
                _ => None,
            })
        }
        PathArguments::None | PathArguments::Parenthesized(_) => None,
    };
    let Some(value) = value else {
        let name = &result.ident;
        complaints.at(
            written,
            format!("callers need to know what is returned: write it out, as in `{name}<()>`"),
        );
        return None;
    };
    types::check(
        value,
        "a result",
        surroundings.self_type.is_none(),
        complaints,
    );
    Some((concrete(value, surroundings), written.span()))
}

fn placement(
    options: &Options,
    surroundings: &Surroundings<'_>,
    signature: &Signature,
    arguments: &[Argument],
    complaints: &mut Complaints,
) -> Placement {
    let chosen = options
        .placement
        .as_ref()
        .or(surroundings.options.placement.as_ref());
    match chosen {
        None | Some(PlacementOption::Any) => Placement::Any,
        Some(PlacementOption::Leader) => Placement::Leader,
        Some(PlacementOption::Every(word)) => {
            if arguments
                .iter()
                .any(|argument| types::has_stream(&argument.ty))
            {
                let method = &signature.ident;
                complaints.at(
                    word,
                    format!("`{method}` takes a stream, which only one node can read: choose another placement, or take a `Vec`"),
                );
            }
            Placement::Every
        }
        Some(PlacementOption::Key(key)) => {
            let is_key = |argument: &Argument| argument.ident == *key || *key == argument.name;
            let place = arguments.iter().position(is_key);
            let Some(place) = place else {
                let method = &signature.ident;
                let names = types::list(arguments.iter().map(|argument| &argument.ident));
                let names = if names.is_empty() {
                    "none".to_owned()
                } else {
                    names
                };
                complaints.at(
                    key,
                    format!("`{method}` has no argument `{key}` (it has {names}): name one of its arguments"),
                );
                return Placement::Any;
            };
            if types::has_stream(&arguments[place].ty) {
                complaints.at(
                    key,
                    "the node is chosen before a stream is read: name another argument",
                );
            }
            Placement::Key(place)
        }
    }
}

/// What can be told of a method with a mistake.
fn broken(signature: &Signature) -> Box<BrokenMethod> {
    let arity = signature
        .inputs
        .iter()
        .filter(|input| matches!(input, FnArg::Typed(input) if context(&input.ty).is_none()))
        .count();
    let mut quiet = Complaints::default();
    let output = match &signature.output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => {
            let result = parse::last_segment(ty)
                .filter(|segment| segment.ident.to_string().ends_with("Result"));
            let value = match result.map(|segment| &segment.arguments) {
                Some(PathArguments::AngleBracketed(list)) => match list.args.first() {
                    Some(GenericArgument::Type(ty)) => ty.clone(),
                    _ => parse_quote!(()),
                },
                Some(_) => parse_quote!(()),
                None => (**ty).clone(),
            };
            types::check(&value, "a result", true, &mut quiet);
            value
        }
    };
    let is_plain = quiet.is_empty() && signature.generics.params.is_empty();
    let output = if is_plain { output } else { parse_quote!(()) };
    let ident = if is_taken(&signature.ident) {
        name::method(&signature.ident)
    } else {
        signature.ident.clone()
    };
    Box::new(BrokenMethod {
        ident,
        arity,
        output,
    })
}

/// Whether the generated client has a function of this name that is no call.
fn is_taken(name: &Ident) -> bool {
    name == "new" || name == "descriptor"
}
