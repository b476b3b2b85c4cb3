//! Every answer of both aggregators, from its status and headers through the door to neutral rows.

use jiff::Timestamp;
use passbook::aggregator::{
    Aggregator, Beginning, Begun, CallContext, CallError, Customer, ExchangeError, Feed, ListedUser, PageToken, Repair,
    Stretch, Window,
};
use passbook::clock::Clock;
use passbook::config::SourceConfig;
use passbook::limits::requests::{Lane, MAX_HOLD};
use passbook::model::Attention;
use passbook::secret::Secret;
use tokio::runtime::Runtime;
use tokio::time::Instant;

use super::bank::{Bank, SECRET, START, Which, runtime, source};
use super::rows::{Heard, assert_promises};
use super::script::Script;
use super::shown::assert_safe;

const USER: &str = "0f5e2d4c-7a1b-4c3d-9e8f-001122334455";
const LINK: &str = "8001";
/// The questions of both, in the words of a script.
const QUESTIONS: [&str; 21] = [
    "accounts",
    "begin",
    "catalog",
    "check",
    "customer",
    "delete",
    "endpoints",
    "exchange",
    "find",
    "holdings",
    "institution",
    "link",
    "links",
    "numbers",
    "progress",
    "refresh",
    "register",
    "repair",
    "token",
    "transactions",
    "users",
];
/// However an answer is worded, each that comes leads to few requests more than there are answers.
const MOST_REQUESTS_BESIDES: usize = 24;

thread_local! {
    static RUNTIME: Runtime = runtime();
    static SOURCES: [SourceConfig; 2] = [Which::Truv, Which::Bridge].map(source);
}

/// Answers of Truv.
pub fn truv(input: &[u8]) {
    ask(Which::Truv, input);
}

/// Answers of Bridge.
pub fn bridge(input: &[u8]) {
    ask(Which::Bridge, input);
}

fn ask(which: Which, input: &[u8]) {
    RUNTIME.with(|runtime| runtime.block_on(asked(which, input)));
}

async fn asked(which: Which, input: &[u8]) {
    let script = Script::read(input);
    let question = question(&script.question);
    let answers = script.replies.len();
    let clock = Clock::virtual_at(START.parse().expect("an instant"));
    let bank = Bank::new(Script { question: question.to_owned(), ..script });
    let aggregator = SOURCES.with(|[truv, bridge]| match which {
        Which::Truv => bank.aggregator(truv, &clock),
        Which::Bridge => bank.aggregator(bridge, &clock),
    });
    let began = Instant::now();
    let heard = Asking { aggregator: &aggregator, context: CallContext::new(Lane::Person) }.ask(question).await;
    // What may take longest is waited for: each answer may ask for a minute, and the limiter's own pace.
    let longest = MAX_HOLD * u32::try_from(answers + MOST_REQUESTS_BESIDES).expect("few");
    assert!(began.elapsed() <= longest, "{question} took {:?}", began.elapsed());
    // Each link of a customer who is deleted is deleted first.
    if question != "delete" {
        assert!(bank.asked() <= answers + MOST_REQUESTS_BESIDES, "{} requests", bank.asked());
    }
    match heard {
        Ok(heard) => assert_promises(which, &heard, input),
        Err(error) => assert_error(&error, input, clock.now()),
    }
}

/// The question that a word means; any other word means one of them, too.
fn question(word: &str) -> &'static str {
    let any = || QUESTIONS[word.bytes().map(usize::from).sum::<usize>() % QUESTIONS.len()];
    QUESTIONS.into_iter().find(|known| *known == word).unwrap_or_else(any)
}

fn assert_error(error: &CallError, input: &[u8], now: Timestamp) {
    let text = error.to_string();
    assert!(!text.contains(SECRET), "{text}");
    assert_safe(&text, input);
    if let CallError::RateLimited { until, .. } = error {
        assert!(until.duration_since(now).unsigned_abs() <= MAX_HOLD, "held until {until}");
    }
}

struct Asking<'a> {
    aggregator: &'a Aggregator,
    context: CallContext,
}

impl Asking<'_> {
    async fn ask(&self, question: &str) -> Result<Heard, CallError> {
        let (aggregator, context) = (self.aggregator, &self.context);
        let mut heard = Heard::default();
        match question {
            "users" => {
                let page = aggregator.users(context, None).await?;
                page.users.into_iter().for_each(|user| heard.listed(user));
                if let Some(next) = page.next {
                    let more = aggregator.users(context, Some(&next)).await?;
                    more.users.into_iter().for_each(|user| heard.listed(user));
                }
            }
            "links" => heard.links = aggregator.user_links(context, USER).await?,
            "link" | "token" => heard.links.extend(aggregator.link(context, USER, LINK).await?),
            "delete" => heard.ids = aggregator.delete_user(context, USER).await?.links,
            "accounts" => heard.accounts = self.accounts(false).await?,
            "numbers" => heard.accounts = self.accounts(true).await?,
            "transactions" => self.transactions(&mut heard).await?,
            "refresh" | "progress" | "find" => self.refreshes(question, &mut heard).await?,
            "customer" | "begin" | "repair" | "exchange" => self.connect(question, &mut heard).await?,
            "holdings" => {
                if let Feed::Changes(feed) = aggregator.feed() {
                    heard.holdings = feed.holdings(context, USER).await?;
                }
            }
            "catalog" | "institution" => self.names(question, &mut heard).await?,
            "endpoints" | "register" => self.endpoints(question, &mut heard).await?,
            _ => aggregator.check(context).await?,
        }
        Ok(heard)
    }

    async fn accounts(&self, with_numbers: bool) -> Result<Vec<passbook::model::AccountRecord>, CallError> {
        match self.aggregator.feed() {
            Feed::Windows(feed) => feed.accounts(&self.context, LINK, with_numbers).await,
            Feed::Changes(feed) => feed.accounts(&self.context, USER).await,
        }
    }

    /// A walk over three pages at most, and one of a single account.
    async fn transactions(&self, heard: &mut Heard) -> Result<(), CallError> {
        let mut page: Option<PageToken> = None;
        for _ in 0..3 {
            let found = match self.aggregator.feed() {
                Feed::Windows(feed) => feed.transactions(&self.context, LINK, Window::default(), page.as_ref()).await?,
                Feed::Changes(feed) => {
                    let since = Stretch::Since(START.parse().expect("an instant"));
                    feed.transactions(&self.context, USER, since, page.as_ref()).await?
                }
            };
            page.clone_from(&found.next);
            heard.pages.push(found);
            if page.is_none() {
                break;
            }
        }
        if let Feed::Changes(feed) = self.aggregator.feed() {
            heard.pages.push(feed.transactions(&self.context, USER, Stretch::Account("42"), None).await?);
        }
        Ok(())
    }

    async fn refreshes(&self, question: &str, heard: &mut Heard) -> Result<(), CallError> {
        let (Some(refreshes), context) = (self.aggregator.refreshes(), &self.context) else { return Ok(()) };
        match question {
            "refresh" => heard.ids.push(refreshes.start(context, &Secret::new("token-1")).await?),
            "progress" => {
                let progress = refreshes.progress(context, "task-1").await?;
                heard.other.push(format!("{progress:?}"));
            }
            _ => heard.ids = refreshes.find(context, USER, LINK, START.parse().expect("an instant")).await?,
        }
        Ok(())
    }

    async fn connect(&self, question: &str, heard: &mut Heard) -> Result<(), CallError> {
        let (connect, context) = (self.aggregator.connect(), &self.context);
        let callback = "https://ours.example/connect/x/return".parse().expect("a URL");
        let link_context = Secret::new("c0ntext");
        let beginning = Beginning {
            user: USER,
            email: None,
            repair: (question == "repair").then_some(Repair {
                link: LINK,
                access_token: None,
                attention: Some(Attention::SecondFactor),
            }),
            language: "en",
            callback: &callback,
            context: &link_context,
        };
        match question {
            "customer" => {
                let customer =
                    Customer { external_id: "customer-1", known_as: None, first_name: None, last_name: None };
                heard.users.push(connect.user(context, &customer).await?);
            }
            "exchange" => match connect.exchange(context, &Secret::new("public-1")).await {
                Ok(exchanged) => heard.ids.push(exchanged.link),
                Err(ExchangeError::Call(error)) => return Err(error),
                Err(ExchangeError::Expired | ExchangeError::OutcomeUnknown(_)) => {}
            },
            _ => match connect.begin(context, &beginning).await? {
                Begun::Widget { token, .. } => heard.ids.push(token.expose().to_owned()),
                // A customer's browser is sent there.
                Begun::Hosted { url } => {
                    assert!(url.scheme() == "https" && url.username().is_empty() && url.password().is_none(), "{url}");
                    heard.other.push(url.to_string());
                }
            },
        }
        Ok(())
    }

    async fn names(&self, question: &str, heard: &mut Heard) -> Result<(), CallError> {
        let (Some(catalog), context) = (self.aggregator.catalog(), &self.context) else { return Ok(()) };
        match question {
            "catalog" => heard.categories = catalog.categories(context).await?,
            _ => heard.institutions.push(catalog.institution(context, "6").await?),
        }
        Ok(())
    }

    async fn endpoints(&self, question: &str, heard: &mut Heard) -> Result<(), CallError> {
        let (Some(endpoints), context) = (self.aggregator.webhook_endpoints(), &self.context) else { return Ok(()) };
        if question == "endpoints" {
            let listed = endpoints.list(context).await?;
            heard.ids.extend(listed.into_iter().flat_map(|endpoint| [endpoint.upstream_id, endpoint.url]));
        } else {
            let address = "https://ours.example/webhooks/source".parse().expect("a URL");
            endpoints.register(context, &address).await?;
        }
        Ok(())
    }
}

impl Heard {
    fn listed(&mut self, listed: ListedUser) {
        self.users.push(listed.user);
        for (link, suffix) in listed.links.into_iter().flatten() {
            assert!(suffix.is_none_or(|suffix| suffix.chars().count() <= 4), "more of a token than its end");
            self.links.push(link);
        }
    }
}
