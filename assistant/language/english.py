"""What this package knows of the English language, all in one place: word lists and patterns, no logic.

Everything else that reads questions or splits sentences takes its words from here, so that another language is another module
like this one.
"""

import re
from typing import Literal

AnswerKind = Literal["who", "when", "where", "number", "money", "duration", "measure", "why", "how", "contact", "yesno", "which"]

ABBREVIATIONS = frozenset(
    # A full stop after one of these seldom ends a sentence.
    """mr mrs ms dr prof st sr jr rev gen col capt lt sgt hon gov sen rep pres
    e.g i.e cf vs viz approx ca c al resp incl excl max min no nos nr vol fig figs eq eqs sec ch chap pp p art ed eds
    jan feb mar apr jun jul aug sep sept oct nov dec mon tue wed thu fri sat sun
    inc ltd corp co dept est tel ext ave blvd rd ft mt u.s u.k a.m p.m b.c a.d ph.d""".split()
)
FINAL_ABBREVIATIONS = frozenset("inc ltd corp co etc al a.m p.m u.s u.k b.c a.d ph.d jr sr".split())
"""Those that do end one where a word follows that often begins one."""

SENTENCE_OPENERS = frozenset(
    """the a an this that these those it its he she they his her their we our you your i my in on at by for from with to
    if when while where after before since until as although but and or however there here all every each no not some many
    most one two three what who why how which please see use for during under over once then also both""".split()
)

STOPWORDS = frozenset(
    """a an the this that these those some any all each every both either neither no nor not only own same such other another
    i me my mine we us our ours you your yours he him his she her hers it its they them their theirs one ones someone anyone
    somebody anybody everyone everybody something anything thing things
    what which who whom whose when where why how
    is am are was were be been being do does did doing done have has had having can could will would shall should may might must
    of in on at by for from with without to into onto upon about as than then there here so if or and but because while
    up down out off over under again further between among during before after above below through against until since per via
    very too also just even still yet ever never much many more most less least few several lot lots
    name tell give say said says please type kind sort get gets got go goes going went make makes made take takes took
    called known used term
    s t d ll m re ve don doesn didn isn aren wasn weren won wouldn couldn shouldn hasn haven hadn ain let""".split()
)
"""Words that say little about what a question is about. Prepositions and auxiliaries among them still count a little."""

CALENDAR = frozenset(
    """january february march april may june july august september october november december monday tuesday wednesday thursday
    friday saturday sunday christmas easter""".split()
)
"""Names of times: what holds "in October" or "over Christmas" is often said in other words."""

NUMBERED = frozenset("article chapter section annex appendix channel level room table figure version step rule class".split())
"""Common words that make a name with a number."""

DANGLING = re.compile(
    r"^(?:it|its|they|them|their|this|these|those|that|he|she|his|her|him|there|such|then|both|here|so|therefore|"
    r"instead|otherwise|afterwards?|also)\b",
    re.IGNORECASE,
)
"""A sentence that opens so leans on the one before it."""

PROCEDURE = re.compile(
    r"^(?:how (?:do|does|can|should|must|may|would|to|is|are)\b(?!.*\b(?:cost|called|named)\b)|"
    r"(?:what|which) (?:\w+ )?(?:steps|things|items|rules)\b|(?:what|which) (?:are|do) the\b|list\b|explain\b|describe\b|"
    r"what (?:should|must|do|has to|have to)\b.*\bdo\b|what happens\b)",
    re.IGNORECASE,
)
"""A question that a list or several steps may answer."""

ANSWER_KINDS: tuple[tuple[AnswerKind, str], ...] = (
    (
        "money",
        r"\bhow (?:expensive|much (?:money|is paid|are paid|do(?:es)? .* (?:cost|pay|charge)|(?:is|are|was|were) (?:the|a|an)\b.*"
        r"\b(?:fee|price|charge|deposit|cost|ticket|rent|salary|fine)))|"
        r"\b(?:what|which)\b.{0,40}\b(?:price|costs?|fees?|charges?|deposit|"
        r"salary|budget|revenue|fare|fine)\b|\bhow much\b.*\b(?:costs?|pay|paid|charged?|spent|worth|spend|owe)\b",
    ),
    (
        "contact",
        r"^(?:what|which)\b.{0,60}\b(?:e-?mail|phone|telephone|website|url)\b|"
        r"\bnumber (?:do|can|should|must) (?:i|you|we) (?:call|dial|ring)\b|"
        r"^(?:phone|telephone|e-?mail)\b",
    ),
    (
        "duration",
        r"\bhow long\b(?! (?:is|are|was) (?:the|a) (?:\w+ )?(?:river|rope|road|bridge|track|cable|wall))|"
        r"\b(?:what|which) (?:duration|period)\b|\bfor how (?:many|much) (?:days|years|weeks|months|hours|time)\b",
    ),
    (
        "when",
        r"^\W*(?:and |but |so |since |until |from )?when\b|"
        r"\bwhen (?:is|are|was|were|do|does|did|can|must|should|will|has|have|had)\b|"
        r"\b(?:what|which|in what|in which)\b (?:\w+ ){0,2}"
        r"(?:year|date|day|month|time|century|decade|era|period|hours?)\b|"
        r"\buntil (?:what|which)\b|\bhow (?:often|soon|early|late|far in advance)\b",
    ),
    (
        "measure",
        r"\bhow (?:far|tall|high|deep|wide|heavy|fast|big|large|hot|cold|strong|thick|old|steep|long)\b|"
        r"\b(?:what|which)\b.{0,30}\b(?:height|altitude|depth|width|weight|speed|size|length|temperature|distance|area|age|interval)\b",
    ),
    (
        "number",
        r"\bhow (?:many|much)\b|\b(?:what|which)\b.{0,30}\b(?:number|percent(?:age)?|fraction|amount|population|share|rate|"
        r"proportion|ratio|quantity|capacity|limit)\b",
    ),
    (
        "why",
        r"^why\b|\bwhy (?:is|are|was|were|do|does|did|must|should|can)\b|\bfor what (?:reason|purpose)\b|"
        r"\bwhat (?:is|was|were|are) the (?:reasons?|causes?|purpose)\b|\bwhat caused\b",
    ),
    (
        "who",
        r"\bwho(?:m|se)?\b|\b(?:what|which) (?:\w+ )?(?:person|people|man|woman|king|queen|president|author|scientist|officer|"
        r"leader|emperor|general|philosopher|economist)\b",
    ),
    (
        "where",
        r"\bwhere\b|\b(?:in |at |from )?(?:what|which) (?:\w+ )?(?:place|city|country|town|state|region|building|room|continent|"
        r"location|area|street|folder|directory|file)\b",
    ),
    ("how", r"^(?:how)\b|\bhow (?:do|does|did|can|should|is|are|was|were|to)\b"),
    ("yesno", r"^(?:is|are|was|were|do|does|did|can|could|may|must|should|has|have|had|will|would)\b"),
)
"""What a question's wording says of its answer; the first that fits."""

ASKED = re.compile(
    r"\b(?:what|which|how many|how much|whose)\s+(?P<noun>(?!(?:is|are|was|were|do|does|did|can|could|will|would|has|have|had|"
    r"must|should|may|the|a|an|of|to|in|on|at|for|from|if)\b)\w+)",
    re.IGNORECASE,
)
"""The noun that a question's answer is an example of."""

MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
NUMBER_WORDS = (
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|"
    "nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|dozen|half|third|quarter|"
    "once|twice|double|single|none|no|several|both"
)
CURRENCIES = r"(?:[$€£¥]|\b(?:eur|euros?|usd|dollars?|gbp|pounds?|chf|francs?|yen|cents?)\b)"

YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b|\b\d{1,2}(?:st|nd|rd|th) century\b|\b\d{2,4}\s?(?:bc|ad|bce|ce)\b", re.IGNORECASE)
TIME = re.compile(
    rf"{YEAR.pattern}|\b(?:{MONTHS}|{DAYS})s?\b|\b\d{{1,2}}[:.]\d\d\b|\b\d{{1,2}} ?(?:a\.?m|p\.?m|o'clock)\b|"
    r"\b(?:daily|weekly|monthly|yearly|annually|every (?:day|week|month|year|\w+ (?:days|weeks|months|years))|noon|midnight|"
    r"morning|evening|afternoon|night|spring|summer|autumn|winter|today|century|decade|"
    r"(?:days?|weeks?|months?|years?|hours?|minutes?) (?:before|after|ago|earlier|later|ahead)|"
    rf"(?:\d+|{NUMBER_WORDS}) (?:seconds?|minutes?|hours?|days?|weeks?|months?|years?))\b|"
    r"\b(?:before|after|during|until|since)\b",
    re.IGNORECASE,
)
NUMBER = re.compile(rf"\d|\b(?:{NUMBER_WORDS})\b", re.IGNORECASE)
MONEY = re.compile(rf"{CURRENCIES}|\b\d+[.,]\d\d\b|\b(?:free|no charge|percent)\b|%", re.IGNORECASE)
DURATION = re.compile(
    rf"(?:\d|\b(?:{NUMBER_WORDS}|few|many|whole|an?|the|next|first|last))[ -](?:\w+ )?"
    r"(?:seconds?|minutes?|hours?|days?|weeks?|months?|years?|decades?|centur(?:y|ies)|nights?|seasons?)\b|"
    r"\b(?:always|forever|permanent(?:ly)?|indefinitely|overnight|for life)\b|\b\d{1,2}[:.]\d\d\b",
    re.IGNORECASE,
)
CAUSE = re.compile(
    r"\b(?:because|since|so that|in order to|due to|owing to|therefore|reasons?|caused?|as a result|to (?:avoid|prevent|protect|"
    r"ensure|keep|make)|otherwise|leads? to|result\w*|means?)\b|\bso\b|:",
    re.IGNORECASE,
)
PLACE = re.compile(
    r"\b(?:in|at|on|near|behind|beside|under|above|below|inside|outside|between|from|to|opposite|next to|through|along|beyond)"
    r" (?:the |a |an )?\w+",
    re.IGNORECASE,
)
CONTACT = re.compile(r"\S+@\S+\.\w+|https?://\S+|\bwww\.\S+|\b\d{2,5}[ /-]\d{2,}(?:[ -]\d+)*\b")
NEGATION = re.compile(
    r"\b(?:not|never|no|none|nobody|nothing|nor|neither|without|cannot|except|unlike|n't|isn't|aren't|wasn't|weren't|don't|"
    r"doesn't|didn't|can't|won't|couldn't|shouldn't|hasn't|haven't|forbidden|prohibited|refus\w+|exclud\w+|exempt\w*)\b|n't\b",
    re.IGNORECASE,
)
ANTONYMS = tuple(
    tuple(pair.split("/"))
    for pair in """before/after first/last oldest/newest oldest/youngest minimum/maximum min/max most/least largest/smallest
    biggest/smallest highest/lowest longest/shortest increase/decrease increased/decreased more/less more/fewer north/south
    east/west northern/southern eastern/western summer/winter open/closed opens/closes opening/closing start/end starts/ends
    began/ended arrive/leave arrival/departure above/below internal/external private/public legal/illegal win/lose won/lost
    member/guest members/guests adult/child adults/children free/paid early/late earliest/latest strong/weak new/old
    high/low best/worst day/night morning/evening buy/sell lend/borrow upper/lower inside/outside male/female men/women
    husband/wife father/mother son/daughter king/queen with/without same/different safe/dangerous easy/hard easy/difficult
    agree/disagree support/oppose supported/opposed accept/reject accepted/rejected allow/forbid allowed/forbidden""".split()
)
"""Word pairs that share a meaning's place and turn it round: the wrong one in a sentence is a near miss."""

COMMON = frozenset(
    # Verbs, adverbs and adjectives of every day
    """able accept according actually add across again ago allow allowed allows almost alone along already although always
    answer apply arrive ask asked available away back become becomes became before begin begins began begun believe belong
    better big bring brings brought build call came carry case certain change changes changed choose come comes common
    complete consider considered contain contains continue could create created current currently cut decide describe
    described despite different difficult directly early easily easy end ends enough enter especially etc exactly exist
    expect explain far fast feel felt final finally find finish first fit follow following follows form found full gave
    general generally given gives good got great greater grow had half handle happen happened happens hard have hear held
    help helps high higher hold holds important include included includes including increase instead intend involve
    involved keep keeps kept kind knew know knows large larger largest last late later lead leave left let like likely
    list live local long longer longest look lose lost lower main mainly maximum mean means meet mention mentioned
    mentioning mentions might minimum modern move need needed needs new next nearly normally now occur occurred occurs
    often old older once open order originally own particular people person persons perform place possible present prevent
    probably process produce produced provide provided provides put quick quickly quite rather reach read ready real
    really reason receive recent refer refers regard related relate remain remained remains report represent result
    results right rise run running runs same saw say second see seem seen send sent separate serve serves set several show
    shown shows similar simple single situation small smaller smallest soon sort special stand start started starts state
    stay step still stop sure talk talking tell thing think third though thought time times today together told took top
    total toward towards tried true try turn two under understand unless use used useful user uses using usual usually
    various view want wanted way ways well went whole wide will within work worked works write written wrong year years
    yet young don't doesn't didn't isn't aren't wasn't weren't can't couldn't won't wouldn't shouldn't i'm it's that's
    what's amount number numbers quantity size part parts piece pieces name names word words question example fact point
    area side group cold hot warm deep tall heavy steep thick strong day days hour hours week weeks month months minute
    minutes date man men woman women""".split()
)
"""Words so common in any English text that their absence from a passage says little."""

KIND_WORDS: dict[AnswerKind, frozenset[str]] = {
    "money": frozenset("cost costs price prices pay paid fee fees charge charges money expensive much fare rate".split()),
    "contact": frozenset("phone telephone number email mail address call reach contact dial website".split()),
    "when": frozenset("year date day month time hour hours often soon early late century period".split()),
    "duration": frozenset("long last lasts take takes time duration period valid".split()),
    "measure": frozenset(
        "high tall deep wide heavy fast big large hot cold strong thick old steep long far size temperature".split()
    ),
    "number": frozenset("number amount total many percentage share rate".split()),
}
"""Words of a question that the answer itself stands for: a price needn't be called one."""
