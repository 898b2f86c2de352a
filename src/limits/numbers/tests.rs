//! The numbers of one client on one node: what is spent, what is refused, who is held.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use jiff::civil::{Date, date};

use super::*;
use crate::clock::Clock;
use crate::crypto::digest::IdDigest;
use crate::domain::client::{Actor, Rate};
use crate::domain::instant::UnixMs;
use crate::domain::numbers::{Digests, Guests, HeldFor, Neighbourhood, NumbersMode};
use crate::telemetry::Metrics;

const DAY: Duration = Duration::from_hours(24);

struct Desk {
    all: Arc<Numbers>,
    client: ClientNumbers,
    clock: Clock,
    asked: u32,
}

fn declared(guests: &str) -> Declaration {
    Declaration {
        guests: Guests::parse(guests).unwrap(),
        digests: Digests::Taken,
        is_device: false,
        rate: Rate::parse("600/60s").unwrap(),
        is_held: false,
        released_at_ms: None,
        cluster: None,
    }
}

fn desk_among(nodes: usize, mode: NumbersMode, guests: &str) -> Desk {
    let clock = Clock::fixed_now();
    let metrics = Arc::new(Metrics::new().unwrap());
    let all = Numbers::new(mode, clock.clone(), Arc::new(AtomicUsize::new(nodes)), metrics);
    let actor = Actor::new(crate::crypto::random::id(UnixMs::EPOCH), crate::crypto::random::id(UnixMs::EPOCH));
    let client = ClientNumbers::new(Arc::clone(&all), actor, declared(guests));
    Desk { all, client, clock, asked: 0 }
}

fn desk(guests: &str) -> Desk {
    desk_among(1, NumbersMode::Enforce, guests)
}

impl Desk {
    /// Asks about somebody who was not there before.
    fn ask_new(&mut self) -> Result<(), NumbersRefused> {
        self.asked += 1;
        self.ask(self.asked, None)
    }

    fn ask(&self, person: u32, start: Option<Date>) -> Result<(), NumbersRefused> {
        let place = Some(Neighbourhood { county: 110_101 + person % 3_000, born: 19_000_101 + person });
        self.ask_at(person, place, start)
    }

    fn ask_at(&self, person: u32, place: Option<Neighbourhood>, start: Option<Date>) -> Result<(), NumbersRefused> {
        let mut digest = [7; 32];
        digest[..4].copy_from_slice(&person.to_be_bytes());
        self.client.try_take(&Question { digest: &IdDigest::from_bytes(digest), place, start }).unwrap()
    }

    /// How many new people it can ask about now.
    fn drain(&mut self) -> u32 {
        (0..1_000_000).take_while(|_| self.ask_new().is_ok()).fold(0, |sum, _| sum + 1)
    }
}

#[test]
fn three_days_of_guests_come_at_once_and_then_a_days_in_a_day() {
    for (guests, burst) in [("250/1d", 750), ("20/1d", 60), ("3/1d", 25), ("1000/1d", 3_000)] {
        let mut desk = desk(guests);
        assert_eq!(desk.drain(), burst, "{guests}");
        let Err(NumbersRefused::Spent(refused)) = desk.ask_new() else { panic!("it is spent") };
        assert_eq!((refused.standing.rate.requests.get(), refused.standing.remaining), (burst, 0));
        desk.clock.advance(Duration::from_secs(refused.retry_after_s));
        assert!(desk.ask_new().is_ok(), "the wait that was told is enough");
        desk.clock.advance(DAY.saturating_sub(Duration::from_secs(refused.retry_after_s)));
        let a_day: u32 = guests.split_once('/').unwrap().0.parse().unwrap();
        assert!(desk.drain().abs_diff(a_day - 1) <= 1, "{guests}");
    }
}

#[test]
fn the_numbers_of_the_day_are_free_and_pass_when_nothing_is_left() {
    let mut desk = desk("20/1d");
    let first = desk.asked + 1;
    assert_eq!(desk.drain(), 60);
    for _ in 0..3 {
        assert!(desk.ask(first, None).is_ok());
        assert!(desk.ask_new().is_err());
    }
    let refused = desk.asked;
    assert!(desk.ask(refused, None).is_err(), "what was refused is not known by that");
    desk.clock.advance(DAY);
    assert!(desk.ask(first, None).is_ok());
}

#[test]
fn nodes_that_do_not_count_together_have_their_part() {
    let mut desk = desk_among(3, NumbersMode::Enforce, "250/1d");
    assert_eq!(desk.drain(), 250);
}

#[tokio::test]
async fn numbers_for_which_nothing_was_answered_come_back() {
    let mut desk = desk("20/1d");
    for count in [1, 32, 7, 60].into_iter().cycle().take(40) {
        let taken = desk.client.take_unseen(count).await.unwrap();
        desk.client.give_back(&taken);
    }
    assert_eq!(desk.client.standing(desk.clock.boot_ns()).unwrap().remaining, 60);
    assert!(!desk.client.is_held() && desk.all.holds().take().is_empty());
    assert_eq!(desk.drain(), 60);
}

#[test]
fn who_is_out_of_numbers_on_two_days_is_held_until_released() {
    let mut desk = desk("20/1d");
    desk.drain();
    desk.clock.advance(DAY * 2 / 3);
    assert!((1..20).contains(&desk.drain()));
    assert!(desk.all.holds().take().is_empty(), "the same day");
    desk.clock.advance(DAY / 2);
    let first = desk.asked + 1;
    desk.drain();
    let held = desk.all.holds().take();
    assert_eq!(held.iter().map(|hold| hold.why).collect::<Vec<_>>(), [HeldFor::OutOfNumbers]);
    desk.clock.advance(DAY * 10);
    assert_eq!(desk.ask_new(), Err(NumbersRefused::Held));
    assert!(desk.all.holds().take().is_empty(), "once");
    // What the store says meanwhile: nothing yet, then that it is held.
    desk.client = desk.client.again(declared("20/1d"));
    assert_eq!(desk.ask_new(), Err(NumbersRefused::Held));
    desk.client = desk.client.again(Declaration { is_held: true, ..declared("20/1d") });
    assert_eq!(desk.ask_new(), Err(NumbersRefused::Held));
    let released = Declaration { released_at_ms: Some(desk.clock.now_ms()), ..declared("20/1d") };
    desk.client = desk.client.again(released);
    assert_eq!(desk.drain(), 60, "it has a full budget");
    assert!(!desk.client.is_held() && first > 0);
}

/// How many new people it can ask about in thirty days, so many a day.
fn month_at(desk: &mut Desk, a_day: u32) -> u32 {
    let mut passed = 0;
    for _ in 0..30 * a_day {
        passed += u32::from(desk.ask_new().is_ok());
        desk.clock.advance(DAY / a_day);
    }
    passed
}

#[test]
fn who_runs_away_from_what_it_declared_is_held_before_it_is_out() {
    for (times, passed) in [(2, 80), (3, 80), (5, 80)] {
        let mut desk = desk("20/1d");
        assert!(month_at(&mut desk, times * 20).abs_diff(passed) <= 1, "{times}");
        assert_eq!(desk.all.holds().take()[0].why, HeldFor::OutOfNumbers);
    }
    let mut honest = desk("20/1d");
    assert_eq!(month_at(&mut honest, 20), 600, "what was declared passes");
    assert_eq!((honest.drain(), honest.client.is_held()), (60, false), "and three days' guests on top of it");
    let mut careful = desk("20/1d");
    for _ in 0..60 {
        assert!(careful.ask_new().is_ok());
    }
    careful.clock.advance(DAY / 20);
    assert!(month_at(&mut careful, 20) <= 20, "never refused, and held all the same");
}

#[test]
fn a_held_client_still_asks_about_those_it_knows() {
    let mut desk = desk("20/1d");
    assert!(desk.ask_new().is_ok());
    let known = desk.asked;
    desk.client = desk.client.again(Declaration { is_held: true, ..declared("20/1d") });
    assert!(desk.ask(known, None).is_ok());
    assert_eq!(desk.ask_new(), Err(NumbersRefused::Held));
    desk.client = desk.client.again(declared("20/1d"));
    assert!(desk.ask_new().is_ok(), "another node's hold ends here, too");
}

#[test]
fn out_of_numbers_in_another_month_is_no_second_time() {
    let mut desk = desk("20/1d");
    desk.drain();
    desk.clock.advance(DAY * 31);
    desk.drain();
    assert!(desk.all.holds().take().is_empty());
    desk.clock.advance(DAY * 2);
    desk.drain();
    assert_eq!(desk.all.holds().take().len(), 1);
}

/// Blind evaluations, which nobody here can tell from each other, are numbers as others are.
#[tokio::test]
async fn who_is_out_of_blind_evaluations_on_two_days_or_runs_away_by_them_is_held() {
    let desk = desk("20/1d");
    desk.client.take_unseen(60).await.unwrap();
    for count in [1, 100] {
        let Err(NumbersRefused::Spent(refused)) = desk.client.take_unseen(count).await else { panic!("it is spent") };
        assert_eq!(refused.standing.remaining, 0);
    }
    assert!(!desk.client.is_held());
    desk.clock.advance(DAY * 5 / 4);
    assert!(matches!(desk.client.take_unseen(60).await, Err(NumbersRefused::Spent(_))));
    assert_eq!(desk.all.holds().take()[0].why, HeldFor::OutOfNumbers);
    assert_eq!(desk.client.take_unseen(1).await, Err(NumbersRefused::Held));
    let careful = self::desk("20/1d");
    for _ in 0..2 {
        careful.client.take_unseen(30).await.unwrap();
        careful.clock.advance(DAY);
    }
    careful.client.take_unseen(20).await.unwrap();
    assert_eq!(careful.client.take_unseen(1).await, Err(NumbersRefused::Held), "never refused, and held all the same");
    let whole = self::desk("20/1d");
    whole.client.take_unseen(59).await.unwrap();
    whole.clock.advance(DAY * 20);
    assert!(whole.client.take_unseen(60).await.is_ok(), "who had all of them begins again");
}

#[test]
fn digests_have_the_burst_of_one_day_and_no_second_chance() {
    let desk = desk("250/1d");
    let passed = (0..1_000).take_while(|person| desk.ask_at(*person, None, None).is_ok()).count();
    assert_eq!(passed, 250);
    assert_eq!(desk.all.holds().take().len(), 1);
    assert_eq!(desk.ask_at(2_000, None, None), Err(NumbersRefused::Held));
    assert!(desk.ask_at(3, None, None).is_ok());
}

#[test]
fn a_client_that_may_not_send_digests_is_told_so() {
    for mode in [NumbersMode::Enforce, NumbersMode::Observe] {
        let mut desk = desk_among(1, mode, "250/1d");
        desk.client = desk.client.again(Declaration { digests: Digests::Refused, ..declared("250/1d") });
        assert_eq!(desk.ask_at(1, None, None), Err(NumbersRefused::Digest));
        assert!(desk.ask(1, None).is_ok());
    }
}

#[test]
fn places_are_told_apart_from_what_is_left() {
    let desk = desk("1000/1d");
    let cell = |person| desk.ask_at(person, Some(Neighbourhood { county: 110_105, born: 19_491_231 }), None);
    assert_eq!((0..999).filter(|person| cell(*person).is_ok()).count(), 12);
    assert!(matches!(cell(999), Err(NumbersRefused::Neighbourhood { .. })));
    assert!(desk.ask(5_000, None).is_ok());
    assert_eq!(
        desk.client.standing(desk.clock.boot_ns()).unwrap().remaining,
        3_000 - 13,
        "what is refused costs nothing"
    );
}

#[test]
fn a_fourth_start_is_refused_whoever_asks() {
    for guests in ["20/1d", "none"] {
        let desk = desk(guests);
        let passed: Vec<_> = (1..6).map(|day| desk.ask(1, Some(date(2016, 5, day))).is_ok()).collect();
        assert_eq!(passed, [true, true, true, false, false], "{guests}");
        assert!(desk.ask(1, Some(date(2016, 5, 2))).is_ok() && desk.ask(2, Some(date(2016, 5, 9))).is_ok());
    }
}

#[test]
fn wrong_check_characters_beyond_a_fifth_of_the_guests_hold_the_client() {
    for (guests, passing) in [("250/1d", 50), ("20/1d", 25), ("none", 300)] {
        let desk = desk(guests);
        let passed = (0..1_000).take_while(|_| desk.client.count_wrong_number().is_ok()).count();
        assert_eq!(passed, passing, "{guests}");
        assert_eq!(desk.all.holds().take()[0].why, HeldFor::WrongNumbers);
        assert_eq!(desk.ask(1, None), Err(NumbersRefused::Held), "{guests}");
    }
}

#[test]
fn whose_numbers_nobody_counts_asks_about_everybody() {
    let desk = desk("none");
    for person in 0..20_000 {
        let place = Some(Neighbourhood { county: 110_105, born: 19_491_231 });
        assert!(desk.ask_at(person, place, None).is_ok());
    }
    assert_eq!((desk.client.standing(desk.clock.boot_ns()), desk.client.watches_max()), (None, None));
}

#[test]
fn where_limits_observe_everything_passes_and_nobody_is_held() {
    let mut desk = desk_among(1, NumbersMode::Observe, "20/1d");
    for day in 0..3 {
        assert!((0..200).all(|_| desk.ask_new().is_ok()), "{day}");
        assert!((1..9).all(|start| desk.ask(1, Some(date(2016, 5, start))).is_ok()));
        desk.clock.advance(DAY);
    }
    assert!(desk.all.holds().take().is_empty());
    assert_eq!((desk.client.standing(desk.clock.boot_ns()), desk.client.watches_max()), (None, None));
    let refused = |by| desk.all.metrics.numbers_refused.with_label_values(&[by]).get();
    assert!(refused("numbers") > 300 && refused("attempts") > 0);
}

#[test]
fn a_change_of_the_client_gives_nothing_back() {
    let mut desk = desk("250/1d");
    assert_eq!(desk.drain(), 750);
    for guests in ["250/1d", "1000/1d", "20/1d", "none", "250/1d"] {
        desk.client = desk.client.again(Declaration { rate: Rate::parse("60/60s").unwrap(), ..declared(guests) });
        assert_eq!(desk.ask_new().is_ok(), guests == "none", "{guests}");
    }
    let mut cells = self::desk("250/1d");
    let place = Some(Neighbourhood { county: 110_105, born: 19_491_231 });
    assert_eq!((0..20).filter(|person| cells.ask_at(*person, place, None).is_ok()).count(), 12);
    for guests in ["1000/1d", "none", "250/1d"] {
        cells.client = cells.client.again(declared(guests));
    }
    assert!(cells.ask_at(100, place, None).is_err());
}
