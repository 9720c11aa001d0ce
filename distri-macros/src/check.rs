//! Every rule, and every complaint that a user of the attributes can see.
//!
//! A check never stops at the first mistake, and a mistake is told once: where one makes others
//! follow (a helper that is not async has no `&self` and no `Result` either), only the first is
//! told. Whatever passes is returned, also beside complaints, because what is generated after a
//! mistake keeps the rest of the user's code quiet.

use std::collections::HashMap;

use syn::{
    Attribute, Ident, ImplItem, Item, ItemImpl, ItemTrait, Path, TraitItem, Type, Visibility,
};

use crate::{
    complaints::Complaints,
    model::{BrokenMethod, Host, Interface, Method, Start},
    name,
    parse::{self, Function, options::Setting},
};

mod again;
pub(crate) mod message;
mod method;
mod options;
mod types;

use method::Surroundings;
use options::{Options, Place};

/// `#[distri::service] impl WordCount { … }`
pub(crate) struct Implementation {
    pub(crate) interface: Interface,
    pub(crate) host: Host,
    pub(crate) broken: Vec<BrokenMethod>,
}

/// `#[distri::service] trait Thumbnails { … }`
pub(crate) struct Declaration {
    pub(crate) interface: Interface,
    pub(crate) broken: Vec<BrokenMethod>,
}

/// `#[distri::service] impl Thumbnails for FastThumbnails { … }`
pub(crate) struct TraitImplementation {
    pub(crate) host: Host,
    pub(crate) path: Path,
}

/// Checks an `impl` block. `None` if not even a name for the client can be told.
pub(crate) fn implementation(
    settings: &[Setting],
    item: &mut ItemImpl,
    functions: &[Function],
    complaints: &mut Complaints,
) -> Option<Implementation> {
    let options = options::read(settings, Place::Impl, complaints);
    let ident = host_type(item, complaints)?;
    for item in &item.items {
        let (tokens, what): (&dyn quote::ToTokens, _) = match item {
            ImplItem::Const(item) => (&item.ident, "constants"),
            ImplItem::Type(item) => (&item.ident, "types"),
            ImplItem::Macro(item) => (&item.mac.path, "macros"),
            _ => continue,
        };
        let advice = "to an `impl` block without `#[distri::service]`";
        complaints.at(
            tokens,
            format!("a service block holds only methods: move {what} {advice}"),
        );
    }
    let surroundings = Surroundings {
        options: &options,
        self_type: Some(&item.self_ty),
    };
    let (methods, broken) = methods(functions, &surroundings, &ident, complaints);
    let host = host(options.clone(), (*item.self_ty).clone(), complaints);
    let visibility = Visibility::Public(Default::default());
    let interface = interface(
        options,
        &ident,
        &item.attrs,
        visibility,
        methods,
        complaints,
    );
    Some(Implementation {
        interface,
        host,
        broken,
    })
}

/// Checks a trait.
pub(crate) fn declaration(
    settings: &[Setting],
    item: &mut ItemTrait,
    functions: &[Function],
    complaints: &mut Complaints,
) -> Declaration {
    let options = options::read(settings, Place::Trait, complaints);
    if !item.generics.params.is_empty() {
        complaints.at(
            &item.generics,
            "the interface of a service has no generic parameters: write the types out, or declare \
             one interface for each",
        );
    }
    if let Some(unsafety) = &item.unsafety {
        complaints.at(
            unsafety,
            "the interface of a service is a safe trait: remove `unsafe`",
        );
    }
    take_async_trait(&mut item.attrs, complaints);
    for item in &item.items {
        let (tokens, what): (&dyn quote::ToTokens, _) = match item {
            TraitItem::Const(item) => (&item.ident, "constants"),
            TraitItem::Type(item) => (&item.ident, "types"),
            TraitItem::Macro(item) => (&item.mac.path, "macros"),
            _ => continue,
        };
        let reason = "callers do not know which implementation serves them";
        complaints.at(
            tokens,
            format!(
                "the interface of a service holds only methods ({reason}): move {what} out of it"
            ),
        );
    }
    let surroundings = Surroundings {
        options: &options,
        self_type: None,
    };
    let (methods, broken) = methods(functions, &surroundings, &item.ident, complaints);
    let interface = interface(
        options,
        &item.ident,
        &item.attrs,
        item.vis.clone(),
        methods,
        complaints,
    );
    Declaration { interface, broken }
}

/// Checks the `impl` of a trait that is an interface.
pub(crate) fn trait_implementation(
    settings: &[Setting],
    item: &mut ItemImpl,
    method_attributes: &[Attribute],
    complaints: &mut Complaints,
) -> Option<TraitImplementation> {
    let options = options::read(settings, Place::TraitImpl, complaints);
    let (negative, path, _) = item.trait_.clone()?;
    let interface = path.segments.last()?.clone();
    host_type(item, complaints)?;
    if let Some(negative) = negative {
        complaints.at(
            negative,
            "a service implements its interface: remove the `!`",
        );
        return None;
    }
    if !interface.arguments.is_none() {
        complaints.at(
            &interface.arguments,
            "the interface of a service has no generic parameters: remove them",
        );
    }
    for attribute in method_attributes {
        let name = &interface.ident;
        complaints.at(
            attribute,
            format!("callers see the interface only: write this on the method in `trait {name}`"),
        );
    }
    let host = host(options, (*item.self_ty).clone(), complaints);
    Some(TraitImplementation { host, path })
}

/// Complains of an item that can be no service.
pub(crate) fn refuse(item: &Item, complaints: &mut Complaints) {
    let advice = "write it above `impl WordCount { … }` or above a trait";
    complaints.at(
        message::first_word(item),
        format!("`#[distri::service]` goes on the methods of a service: {advice}"),
    );
}

/// The last word of the type that the block is for.
fn host_type(item: &mut ItemImpl, complaints: &mut Complaints) -> Option<Ident> {
    take_async_trait(&mut item.attrs, complaints);
    if let Some(unsafety) = &item.unsafety {
        complaints.at(unsafety, "a service is a safe `impl`: remove `unsafe`");
    }
    if !item.generics.params.is_empty() {
        complaints.at(
            &item.generics,
            "a service has no generic parameters, because nodes make one instance of it: write \
             the `impl` for one concrete type",
        );
    }
    let segment = match &*item.self_ty {
        Type::Path(path) if path.qself.is_none() => path.path.segments.last(),
        _ => None,
    };
    if segment.is_none() {
        complaints.at(
            &item.self_ty,
            "expected the name of a type of yours, as in `impl WordCount { … }`",
        );
    }
    segment.map(|segment| segment.ident.clone())
}

/// Complains of `#[async_trait]`, which would change the signatures, and removes it.
fn take_async_trait(attributes: &mut Vec<Attribute>, complaints: &mut Complaints) {
    for attribute in attributes.extract_if(.., |attribute| parse::ends_in(attribute, "async_trait"))
    {
        complaints.at(
            attribute,
            "`#[distri::service]` takes `async fn` as it is: remove this",
        );
    }
}

fn methods(
    functions: &[Function],
    surroundings: &Surroundings<'_>,
    service: &Ident,
    complaints: &mut Complaints,
) -> (Vec<Method>, Vec<BrokenMethod>) {
    let before = complaints.count();
    let mut good: Vec<Method> = Vec::new();
    let mut broken = Vec::new();
    let mut names: HashMap<String, Ident> = HashMap::new();
    for function in functions {
        // Two functions of one name are the compiler's to report.
        if good
            .iter()
            .any(|method| method.ident == function.signature.ident)
        {
            continue;
        }
        match method::check(function, surroundings, service, complaints) {
            Ok(method) => {
                let ident = method.ident.clone();
                if let Some(other) = names.insert(method.name.clone(), ident) {
                    let name = &method.name;
                    complaints.at(
                        &method.ident,
                        format!("callers cannot tell this from `{other}`, as both are `{name}` to them: name one otherwise with #[method(name = \"…\")]"),
                    );
                }
                good.push(method);
            }
            Err(method) => broken.push(*method),
        }
    }
    if functions.is_empty() && complaints.count() == before {
        complaints.at(
            service,
            "a service has at least one method, as in `async fn count(&self, text: String) -> \
             Result<usize>`",
        );
    }
    (good, broken)
}

fn interface(
    options: Options,
    ident: &Ident,
    attributes: &[Attribute],
    visibility: Visibility,
    methods: Vec<Method>,
    complaints: &mut Complaints,
) -> Interface {
    let name = options.name.unwrap_or_else(|| {
        let name = name::kebab_case(ident);
        if !name::is_kebab_case(&name) {
            complaints.at(
                ident,
                format!("`{ident}` gives no name of small ASCII letters: write one, as in #[distri::service(name = \"word-count\")]"),
            );
        }
        name
    });
    Interface {
        name,
        version: options.version.unwrap_or(1),
        docs: parse::docs(attributes),
        client: name::client(ident),
        visibility,
        methods,
    }
}

fn host(options: Options, ty: Type, complaints: &mut Complaints) -> Host {
    let start = match (options.register, options.init) {
        (Some(false), Some(init)) => {
            complaints.at(
                init,
                "with `register = false` nothing calls `init`: remove one of the two",
            );
            Start::ByHand
        }
        (Some(false), None) => Start::ByHand,
        (Some(true) | None, Some(init)) => Start::Init(init),
        (Some(true) | None, None) => Start::Default,
    };
    Host {
        ty,
        start,
        stop: options.stop,
        health: options.health,
        collections: options.collections,
    }
}

#[cfg(test)]
mod tests;
