//! The type as it was, and beside it what makes it known to the registry.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, ExprLit, Generics, Ident, Item, Lit, Meta};

use crate::attribute::{self, Description, Errors};

pub(crate) fn expand(attribute: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let description = attribute::parse(attribute, &mut errors);
    let registration = registration(&description, item.clone(), &mut errors);
    let told = match errors.into_option() {
        Some(error) => error.into_compile_error(),
        None => registration.unwrap_or_default(),
    };
    // The type is kept even where something is wrong, so that only that is told.
    quote! { #item #told }
}

fn registration(
    description: &Description,
    item: TokenStream,
    errors: &mut Errors,
) -> Option<TokenStream> {
    let (attributes, name, generics) = described_type(item, errors)?;
    if let Some(span) = generics_span(&generics) {
        errors.at(
            span,
            format!(
                "a test case cannot have parameters, since the registry makes it without any; \
                 write a type for each, or give {name} a field"
            ),
        );
    }
    if let Some(second) = attributes.iter().find(|attribute| attribute.path().is_ident("testcase"))
    {
        errors.at(second.span(), "a test case has one #[testcase]; remove the other");
    }
    let documentation = documentation(&attributes);
    if documentation.is_empty() {
        errors.at(
            name.span(),
            format!(
                "the test case {name} has no description; say in a doc comment (///) above it what \
                 must hold, since lists and reports show it"
            ),
        );
    }
    let krate = match library() {
        Ok(krate) => krate,
        Err(message) => {
            errors.at(Span::call_site(), message);
            return None;
        }
    };
    let conditions = attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"));
    let Description { id, legacy, tc, timeout, hosts, abilities, blocker, tags, .. } = description;
    let hosts = hosts.unwrap_or(1);
    let tc = match tc {
        Some(tc) => quote! { ::core::option::Option::Some(#tc) },
        None => quote! { ::core::option::Option::None },
    };
    let timeout = match timeout.map(|timeout| u64::try_from(timeout.as_millis())) {
        Some(Ok(milliseconds)) => quote! {
            ::core::option::Option::Some(#krate::__private::Duration::from_millis(#milliseconds))
        },
        _ => quote! { ::core::option::Option::None },
    };
    let abilities = abilities.iter().map(variant);
    let host_claim = match &description.host_claim {
        Some(claim) => {
            let claim = variant(claim);
            quote! { #krate::__private::Claim::#claim }
        }
        None => quote! { #krate::__private::Claims::DEFAULT.host },
    };
    let guest_claim = match &description.guest_claim {
        Some(claim) => {
            let claim = variant(claim);
            quote! { ::core::option::Option::Some(#krate::__private::Claim::#claim) }
        }
        None => quote! { #krate::__private::Claims::DEFAULT.guest },
    };
    // At the name of the type, so that a missing `impl TestCase` is told there.
    let make = quote_spanned! { name.span() => #krate::__private::erase::<#name> };
    let type_name = name.to_string();
    Some(quote! {
        #(#conditions)*
        const _: () = {
            #krate::__private::inventory::submit! {
                #krate::__private::TestDescriptor {
                    id: #id,
                    legacy: &[#(#legacy),*],
                    tc: #tc,
                    description: #documentation,
                    timeout: #timeout,
                    requires: #krate::__private::Requirements {
                        hosts: #hosts,
                        abilities: &[#(#krate::__private::Ability::#abilities),*],
                    },
                    claims: #krate::__private::Claims { host: #host_claim, guest: #guest_claim },
                    blocker: #blocker,
                    tags: &[#(#tags),*],
                    type_name: ::core::concat!(::core::module_path!(), "::", #type_name),
                    file: ::core::file!(),
                    line: ::core::line!(),
                    make: #make,
                }
            }
        };
    })
}

/// The struct or enum that the attribute stands on.
fn described_type(
    item: TokenStream,
    errors: &mut Errors,
) -> Option<(Vec<Attribute>, Ident, Generics)> {
    let (what, span) = match syn::parse2::<Item>(item) {
        Ok(Item::Struct(item)) => return Some((item.attrs, item.ident, item.generics)),
        Ok(Item::Enum(item)) => return Some((item.attrs, item.ident, item.generics)),
        Ok(Item::Impl(item)) => ("an impl", item.impl_token.span()),
        Ok(Item::Fn(item)) => ("a function", item.sig.span()),
        Ok(Item::Trait(item)) => ("a trait", item.ident.span()),
        Ok(Item::Mod(item)) => ("a module", item.ident.span()),
        Ok(other) => ("this", other.span()),
        Err(error) => {
            errors.push(error);
            return None;
        }
    };
    errors.at(
        span,
        format!(
            "#[testcase] cannot stand on {what}; put it on the struct or enum that implements \
             TestCase"
        ),
    );
    None
}

fn generics_span(generics: &Generics) -> Option<Span> {
    let where_clause = generics.where_clause.as_ref().map(Spanned::span);
    if generics.params.is_empty() { where_clause } else { Some(generics.params.span()) }
}

/// The doc comment without the space after each `///`.
fn documentation(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    });
    // A block comment is one attribute with many lines.
    let lines: Vec<String> = lines
        .flat_map(|text| text.split('\n').map(str::to_owned).collect::<Vec<_>>())
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        .collect();
    lines.join("\n").trim().to_owned()
}

/// `live_migration` as the variant `LiveMigration`.
fn variant(ability: &Ident) -> Ident {
    let words = ability.to_string();
    let words = words.split('_').map(|word| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + letters.as_str()
        })
    });
    Ident::new(&words.collect::<String>(), ability.span())
}

/// The path of the library as the crate of the test knows it.
fn library() -> Result<TokenStream, &'static str> {
    for (package, own_name) in [("xenrt", "xenrt"), ("xenrt-core", "xenrt_core")] {
        match crate_name(package) {
            // Tests, examples and documentation of the package itself know it by its own name.
            Ok(FoundCrate::Itself) => {
                let name = Ident::new(own_name, Span::call_site());
                return Ok(quote! { ::#name });
            }
            Ok(FoundCrate::Name(name)) => {
                let name = Ident::new(&name, Span::call_site());
                return Ok(quote! { ::#name });
            }
            Err(_) => {}
        }
    }
    Err("#[testcase] needs the crate `xenrt`; add it to [dependencies] in Cargo.toml")
}
