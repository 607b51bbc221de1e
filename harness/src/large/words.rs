//! Texts as people write them: words of several languages, few of them often and most of them seldom (Zipf).

use rand::{RngExt, SeedableRng, rngs::StdRng};

/// Seldom words of each language, made of its syllables.
const SELDOM: usize = 30_000;

/// Zipf's law with Mandelbrot's shift: the tenth word is about a fifth as frequent as the first.
const SHIFT: f64 = 2.7;

/// One message in so many has this word, so ten of a million do.
pub const RARE_EVERY: usize = 100_000;
/// See [`RARE_EVERY`].
pub const RARE: &str = "quokkaflug";

struct Language {
    common: &'static str,
    syllables: &'static str,
    /// Written without spaces.
    joined: bool,
}

const LANGUAGES: &[Language] = &[
    Language {
        common: "the to and of a in is it you that he was for on are with as his they be at one have this from or had by not \
            but what all were we when your can said there use an each which she do how their if will up other about out many \
            then them these so some her would make like him into time has look two more write go see no way could people my \
            than first water been call who oil its now find tomorrow meeting information because really everything interesting \
            message please thanks maybe question different important understand international",
        syllables: "a be con de ex for gra hu in ju ka lo ment na or pre qui re ship tion un ver wa y ze ing er ly ous al",
        joined: false,
    },
    Language {
        common: "und die der ich nicht das ist du wir zu in es mit sich auf für sie so ein eine dass war haben auch noch schon \
            heute morgen wenn aber oder kann wie was mir dir bei nach vom zum über immer nur mehr sehr wieder ganz gut danke \
            bitte vielleicht natürlich Besprechung Nachricht wichtig Straße Grüße unterwegs unterschiedlich eigentlich",
        syllables: "ab be ent er ge ver zer lich keit ung heit schaft bar los haft wei sel ten mü grö stra fel bund land werk",
        joined: false,
    },
    Language {
        common: "de la que el en y a los se del las un por con no una su para es al lo como más o pero sus le ha me si sin \
            sobre este ya entre cuando todo esta ser son dos también fue había era muy años hasta desde está mi porque qué sólo \
            mañana gracias reunión información importante diferente",
        syllables: "ca ción do es fa gue hi ja lle men ne ño pa que ra so ti ú vi xi ya zo mien to dad",
        joined: false,
    },
    Language {
        common: "de la le et les des en un du une que est pour qui dans a par plus pas au sur ne se ce il sont avec on mais \
            nous comme tout cette elle être fait été aussi bien leur si peut deux même faire où ces ont après très demain merci \
            réunion information important différent",
        syllables: "au beau cha dé eu fi gne hui ir je lle mi noi ou pré que ri seau té ui vé ment tion",
        joined: false,
    },
    Language {
        common: "и в не на я быть он с что а по это она этот к но они мы весь который из у то за свой как от сказать человек \
            один год такой тот или если только его себя другой время когда уже для вот кто да говорить можно завтра спасибо \
            встреча важно информация",
        syllables: "ба ве го да ей жи за ин ко ле мо но об пе ра со те ук фи хо це ша ще эт ют ять ость ние",
        joined: false,
    },
    Language {
        common: "今日 明日 会議 時間 東京 電車 仕事 家 友達 写真 映画 食べ物 天気 ありがとう お願い 大丈夫 了解 です ます した する は が を に で と も の から まで",
        syllables: "あ い う え お か き く け こ さ し す せ そ た ち つ て と な に ぬ ね の 山 川 田 中 人 日 本 大 小 水",
        joined: true,
    },
    Language {
        common: "في من على أن إلى هذا كان لا ما مع هو التي قد كل هذه عن بعد ذلك بين غدا شكرا اجتماع مهم نعم اليوم وقت",
        syllables: "با تا جا حا دا را سا شا صا عا فا قا كا لا ما نا ها وا يا ان ين ات",
        joined: false,
    },
];

/// Ends of messages, now and then.
const PICTURES: &[&str] = &["🙂", "😂", "👍", "❤️", "🎉", "👨‍👩‍👧", "🇪🇺", "🤷🏽‍♀️", "☕", "🚲"];

/// First names of many scripts.
const NAMES: &[&str] = &[
    "Anna",
    "Bruno",
    "Chloé",
    "Dmitri",
    "Έλενα",
    "Fatima",
    "Günther",
    "Hana",
    "Igor",
    "José",
    "Kaito",
    "Łukasz",
    "Mária",
    "نور",
    "دانيال",
    "Ольга",
    "Piotr",
    "Quinn",
    "Renée",
    "שרה",
    "יעקב",
    "太郎",
    "美咲",
    "지우",
    "Uma",
    "Věra",
    "Walter",
    "Xin",
    "Yusuf",
    "Zoë",
];

/// Added to some names.
const BADGES: &[&str] = &["🦊", "🌻", "👩‍💻", "🏳️‍🌈", "(work)", "⚽"];

/// How a person is called; every number another name.
#[must_use]
pub fn name(number: usize) -> String {
    let first = NAMES[number % NAMES.len()];
    let family = number / NAMES.len();
    match number % 7 {
        0 => format!("{first} {} {family}", BADGES[family % BADGES.len()]),
        1 => format!("{first} {family} {}", NAMES[(number / 3) % NAMES.len()]),
        _ => format!("{first} {family}"),
    }
}

struct Vocabulary {
    words: Vec<String>,
    /// Sums of the words' weights.
    sums: Vec<f64>,
    joined: bool,
}

/// Writes texts.
pub struct Writer {
    vocabularies: Vec<Vocabulary>,
}

impl Writer {
    /// The same seed, the same words.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let vocabularies = LANGUAGES
            .iter()
            .map(|language| {
                let syllables: Vec<&str> = language.syllables.split_whitespace().collect();
                let mut words: Vec<String> = language.common.split_whitespace().map(ToOwned::to_owned).collect();
                for _ in 0..SELDOM {
                    let parts = random.random_range(2..5);
                    words.push((0..parts).map(|_| syllables[random.random_range(0..syllables.len())]).collect());
                }
                let mut sum = 0.0;
                let sums = (0..words.len())
                    .map(|rank| {
                        sum += 1.0 / (rank as f64 + SHIFT);
                        sum
                    })
                    .collect();
                Vocabulary { words, sums, joined: language.joined }
            })
            .collect();
        Self { vocabularies }
    }

    /// A text in the language of a chat. `number` is the message's.
    pub fn text(&self, random: &mut StdRng, chat: usize, number: usize) -> String {
        // Most chats are in the first languages.
        let language = (chat % 11).min(self.vocabularies.len() - 1);
        let vocabulary = &self.vocabularies[language];
        let total = vocabulary.sums.last().copied().unwrap_or(0.0);
        let count = match random.random_range(0..100) {
            0 => random.random_range(60..200),
            1..15 => random.random_range(1..3),
            _ => random.random_range(3..18),
        };
        let mut text = String::new();
        for place in 0..count {
            if place > 0 && !vocabulary.joined {
                text.push(if count > 60 && place % 25 == 0 { '\n' } else { ' ' });
            }
            let wanted = random.random_range(0.0..total);
            let at = vocabulary.sums.partition_point(|sum| *sum < wanted);
            text.push_str(vocabulary.words.get(at).map_or("", String::as_str));
        }
        match random.random_range(0..100) {
            0..5 => {
                text.push(' ');
                text.push_str(PICTURES[random.random_range(0..PICTURES.len())]);
            }
            5..7 => text.push_str(&format!(" https://example.org/{:x}", random.random::<u32>())),
            7..25 => text.push('?'),
            _ => {}
        }
        if number % RARE_EVERY == RARE_EVERY / 2 {
            text.push(' ');
            text.push_str(RARE);
        }
        text
    }

    /// What a program writes, many thousand times with the same words.
    pub fn report(random: &mut StdRng, number: usize) -> String {
        format!(
            "build number{number} of branch main finished after {} seconds: all tests passed",
            random.random_range(20..900)
        )
    }
}
