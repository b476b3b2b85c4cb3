//! The stand-in for Bridge's Connect site: the pages behind the address of a session (section 7), without scripts.
//!
//! Choose a provider unless the session names one or an item, log in, give a code if the login asks for one; then the
//! browser goes back to where the session says, with the parameters of section 7.2, or sees how it ended.

use axum::body::Body;
use axum::extract::{Form, Path, Query, State as Extract};
use axum::http::{HeaderValue, Response, StatusCode, header as names};
use axum::response::IntoResponse;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::connect::{self, Visit};
use super::reply::Reply;
use super::sessions::{self, Session};
use super::{items, words};
use crate::sandbox::state::State;
use crate::sandbox::{Sandbox, pages};

/// Where a customer may leave, of the steps of section 7.2.
const STEPS: [&str; 4] = ["highlighted_banks", "bank_creds_form", "edit_bank_creds_form", "otp_form"];

/// What the documents list for the Demo Bank (section 13).
const LOGINS: [(&str, &str); 6] = [
    ("success, or any other", "connects; any password does"),
    ("otp", "asks for a code; any code does"),
    ("otp_fail", "asks for a code and refuses it"),
    ("402, 429, 1003, 1010", "ends in that status"),
    ("1005_CLOSED_ACCOUNT", "ends in that status with that detail"),
    ("success.1010", "the results of this refresh and the next"),
];

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    provider: Option<u32>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Leaving {
    step: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Login {
    provider: Option<u32>,
    #[serde(default)]
    username: String,
    code: Option<String>,
}

pub(super) async fn show(
    Extract(sandbox): Extract<Sandbox>,
    Path(id): Path<String>,
    Query(choice): Query<Choice>,
) -> Response<Body> {
    let state = sandbox.lock();
    let session = match open(&state, &id) {
        Ok(session) => session,
        Err(refusal) => return ended(&refusal),
    };
    match provider_of(&state, &session, choice.provider) {
        Some(provider) => login_page(&state, &id, &session, provider),
        None => providers_page(&state, &id),
    }
}

pub(super) async fn submit(
    Extract(sandbox): Extract<Sandbox>,
    Path(id): Path<String>,
    Form(login): Form<Login>,
) -> Response<Body> {
    let mut state = sandbox.lock();
    let session = match open(&state, &id) {
        Ok(session) => session,
        Err(refusal) => return ended(&refusal),
    };
    let Some(provider) = provider_of(&state, &session, login.provider) else { return providers_page(&state, &id) };
    if connect::asks_code(&login.username) && login.code.is_none() {
        return code_page(&id, provider, &login.username);
    }
    let body = json!({"session": id, "login": login.username, "provider_id": provider, "code": login.code});
    match connect::log_in(&mut state, &body) {
        Ok(visit) => way_back(&visit),
        Err(refusal) => ended(&refusal),
    }
}

pub(super) async fn leave(
    Extract(sandbox): Extract<Sandbox>,
    Path(id): Path<String>,
    Query(leaving): Query<Leaving>,
) -> Response<Body> {
    let mut state = sandbox.lock();
    let step = STEPS.into_iter().find(|step| leaving.step.as_deref() == Some(step)).unwrap_or(STEPS[0]);
    match connect::log_in(&mut state, &json!({"session": id, "leave": step})) {
        Ok(visit) => way_back(&visit),
        Err(refusal) => ended(&refusal),
    }
}

fn open(state: &State, id: &str) -> Result<Session, Reply> {
    sessions::find(state, &json!({"session": id}))
}

/// The provider the session names, by itself or by its item, else the one that was chosen, if there is such a one.
fn provider_of(state: &State, session: &Session, chosen: Option<u32>) -> Option<u32> {
    let of_item = session.link.map(|link| items::provider_id(&state.bank.links[link]));
    let provider = of_item.or(session.provider).or(chosen)?;
    state.bank.providers.find(provider).map(|known| known.id)
}

/// Where the browser goes when the customer is done: 303, so that a form's answer is not posted on.
fn way_back(visit: &Visit) -> Response<Body> {
    let target = visit.callback.as_deref().and_then(|callback| HeaderValue::from_str(callback).ok());
    if let Some(target) = target {
        return (StatusCode::SEE_OTHER, [(names::LOCATION, target)]).into_response();
    }
    let (title, text) = if visit.success {
        ("Connected", "The made-up bank shares its data now. This window can be closed.")
    } else {
        ("Not connected", "The made-up bank shares nothing. This window can be closed.")
    };
    pages::page(StatusCode::OK, title, &html! { section id="ended" { h1 { (title) } p { (text) } } })
}

fn ended(refusal: &Reply) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::NOT_FOUND);
    let text = if status == StatusCode::GONE { "This session is over." } else { "There is no such session." };
    pages::page(status, "Nothing here", &html! { section id="ended" { h1 { "Nothing here" } p { (text) } } })
}

fn providers_page(state: &State, id: &str) -> Response<Body> {
    let content = html! {
        section {
            h1 { "Choose your bank" }
            p { "None of them is real." }
            ul class="banks" {
                @for known in &state.bank.providers.known {
                    li {
                        a class="button" id=(format!("provider-{}", known.id)) href=(format!("{id}?provider={}", known.id)) {
                            (known.name) " (" (known.country) ")"
                        }
                    }
                }
            }
            (cancel(id, "highlighted_banks"))
        }
    };
    pages::page(StatusCode::OK, "Choose your bank", &content)
}

fn login_page(state: &State, id: &str, session: &Session, provider: u32) -> Response<Body> {
    let name = state.bank.providers.find(provider).map_or("", |known| &*known.name);
    let step = if session.link.is_some() { "edit_bank_creds_form" } else { "bank_creds_form" };
    let content = html! {
        section {
            h1 { (name) }
            @if let Some(link) = session.link {
                @let (code, _) = words::status_of(&state.bank.links[link]);
                p { (words::description(code, true)) }
            }
            form method="post" action=(id) autocomplete="off" {
                input type="hidden" name="provider" value=(provider);
                label for="username" { "Login" }
                input id="username" name="username" autocapitalize="none" spellcheck="false" required autofocus;
                label for="password" { "Password" }
                input id="password" name="password" type="password";
                div class="actions" {
                    button type="submit" class="main" id="submit" { "Log in" }
                    (cancel(id, step))
                }
            }
        }
        (logins())
    };
    pages::page(StatusCode::OK, name, &content)
}

fn code_page(id: &str, provider: u32, username: &str) -> Response<Body> {
    let content = html! {
        section {
            h1 { "Confirm that it is you" }
            p { "The bank sent a code to the customer." }
            form method="post" action=(id) autocomplete="off" {
                input type="hidden" name="provider" value=(provider);
                input type="hidden" name="username" value=(username);
                label for="code" { "Code" }
                input id="code" name="code" inputmode="numeric" required autofocus;
                div class="actions" {
                    button type="submit" class="main" id="submit" { "Confirm" }
                    (cancel(id, "otp_form"))
                }
            }
        }
        (logins())
    };
    pages::page(StatusCode::OK, "Confirm", &content)
}

fn cancel(id: &str, step: &str) -> Markup {
    html! { a class="button" id="cancel" href=(format!("{id}/leave?step={step}")) { "Cancel" } }
}

fn logins() -> Markup {
    html! {
        section class="logins" {
            table {
                caption { "Test logins" }
                tbody {
                    @for (login, result) in LOGINS {
                        tr { td { code { (login) } } td { (result) } }
                    }
                }
            }
        }
    }
}
