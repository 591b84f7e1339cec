//! Divides the spending of a key among models: always in the same way, and without a remainder.

use jiff::civil::Date;

use super::ledger::MicroUsd;

/// The models and their providers.
const MODELS: [(&str, &str); 4] = [
    ("openai/gpt-4.1-mini", "OpenAI"),
    ("anthropic/claude-haiku-4.5", "Anthropic"),
    ("google/gemini-2.5-flash", "Google"),
    ("deepseek/deepseek-chat-v3.1", "DeepInfra"),
];

/// Returns the provider of a model.
pub fn provider_of(model: &str) -> &'static str {
    MODELS.iter().find(|(name, _)| *name == model).map_or("OpenAI", |(_, provider)| provider)
}

/// Returns what a key spent with each model on a day. The parts add up to `spent`. A key uses up to
/// three models, on some days only one.
pub fn split_by_model(
    key_number: usize,
    date: Date,
    spent: MicroUsd,
) -> impl Iterator<Item = (&'static str, MicroUsd)> {
    let model = move |index: usize| MODELS[(key_number + index) % MODELS.len()].0;
    let (largest, rest) = spent.split(60);
    let (second, third) = rest.split(75);
    let parts = match (date.day_of_year() + i16::try_from(key_number % 3).unwrap_or(0)) % 3 {
        0 => [spent, MicroUsd::default(), MicroUsd::default()],
        1 => [largest, rest, MicroUsd::default()],
        _ => [largest, second, third],
    };
    let parts = parts.into_iter().enumerate().map(move |(index, part)| (model(index), part));
    parts.filter(|(_, part)| *part > MicroUsd::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_add_up_to_what_was_spent() {
        for day in 1..28 {
            let date = jiff::civil::date(2026, 11, day);
            for usd in [0.0, 0.000_001, 0.37, 12.345_678] {
                let spent = MicroUsd::from_dollars(usd).unwrap();
                let parts: Vec<_> = split_by_model(1, date, spent).collect();
                assert_eq!(parts.iter().map(|(_, part)| *part).sum::<MicroUsd>(), spent);
                assert!(parts.len() <= 3);
            }
        }
    }
}
