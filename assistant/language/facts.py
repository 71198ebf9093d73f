"""What the check of an answer's facts knows of English: numbers, units, names, negation, opposites. Lists and patterns, no logic.

``english.py`` knows what questions and sentences look like; this is about when two wordings state the same fact.
"""

from assistant.language.english import ANTONYMS, STOPWORDS

NUMBER_VALUES = {
    word: value
    for value, word in enumerate(
        """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
        eighteen nineteen""".split()
    )
} | {word: 10 * tens for tens, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
MULTIPLIERS = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
ORDINALS = {
    word: value
    for value, word in enumerate(
        """first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth
        sixteenth seventeenth eighteenth nineteenth twentieth""".split(),
        1,
    )
} | {"thirtieth": 30, "hundredth": 100}
LOOSE_ORDINALS = frozenset(["first", "second", "third"])
"""Words that often say something else than a place in an order ("first encouraged", "ten seconds", "a third")."""
HALF = ("0.5", "50%")
ROMAN = {
    numeral: value
    for value, numeral in enumerate("I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI XVII XVIII XIX XX".split(), 1)
}

UNITS: dict[str, str] = {
    form: name
    for name, forms in {
        "km": "km kilometre kilometres kilometer kilometers",
        "m": "m metre metres meter meters",
        "cm": "cm centimetre centimetres centimeter centimeters",
        "mm": "mm millimetre millimetres millimeter millimeters",
        "mi": "mi mile miles",
        "ft": "ft foot feet",
        "in": "inch inches",
        "yd": "yd yard yards",
        "ha": "ha hectare hectares",
        "acre": "acre acres",
        "kg": "kg kilogram kilograms kilogramme kilogrammes kilo kilos",
        "g": "g gram grams gramme grammes",
        "mg": "mg milligram milligrams",
        "t": "tonne tonnes ton tons",
        "lb": "lb lbs pound pounds £ gbp",
        "l": "l litre litres liter liters",
        "ml": "ml millilitre millilitres milliliter milliliters",
        "°c": "°c c celsius centigrade",
        "°f": "°f f fahrenheit",
        "k": "kelvin kelvins",
        "w": "w watt watts",
        "kw": "kw kilowatt kilowatts",
        "mw": "mw megawatt megawatts",
        "kwh": "kwh",
        "hp": "hp horsepower",
        "v": "volt volts",
        "n": "newton newtons",
        "pa": "pa pascal pascals",
        "psi": "psi",
        "bar": "bar bars",
        "hz": "hz hertz",
        "mhz": "mhz megahertz",
        "ghz": "ghz gigahertz",
        "kb": "kb kilobyte kilobytes kib",
        "mb": "mb megabyte megabytes mib",
        "gb": "gb gigabyte gigabytes gib",
        "tb": "tb terabyte terabytes tib",
        "bit": "bit bits",
        "byte": "byte bytes",
        "ms": "ms millisecond milliseconds",
        "s": "s sec secs second seconds",
        "min": "min mins minute minutes",
        "h": "h hr hrs hour hours",
        "day": "day days",
        "week": "week weeks",
        "month": "month months",
        "year": "year years yr yrs",
        "decade": "decade decades",
        "century": "century centuries",
        "%": "% percent percents pct percentage",
        "usd": "$ usd dollar dollars",
        "eur": "€ eur euro euros",
        "cent": "cent cents",
        "jpy": "¥ jpy yen",
        "chf": "chf franc francs",
        "inr": "₹ inr rs rupee rupees",
    }.items()
    for form in forms.split()
}
"""Each way to write a unit → the unit. Two different ones after the same number are two different facts."""

CURRENCY_SIGNS = frozenset("$ € £ ¥ ₹ USD EUR GBP CHF INR Rs".split())

COMPARED = (
    (
        ">",
        r"(?:more|greater|higher|longer|larger) than|over|above|at least|no (?:fewer|less) than|exceed\w*|upwards of|"
        r"not less than|minimum of",
    ),
    (
        "<",
        r"(?:fewer|less|lower|shorter|smaller) than|under|below|at most|no more than|up to|not more than|"
        r"maximum of|almost|nearly",
    ),
)
"""What before a number makes a bound of it."""

MONTHS = {
    form: month
    for month, forms in enumerate(
        """january/jan february/feb march/mar april/apr may june/jun july/jul august/aug september/sep/sept october/oct
        november/nov december/dec""".split(),
        1,
    )
    for form in forms.split("/")
}

IRREGULAR = {
    form: line.split()[0]
    for line in """arise arose arisen|be am is are was were been being|bear bore borne born|beat beaten|become became|
        begin began begun|bind bound|bite bit bitten|blow blew blown|break broke broken|bring brought|build built|
        burn burnt|buy
        bought|catch caught| choose chose chosen|come came|cost costs|creep crept|deal dealt|dig dug|do did done
        does|draw drew drawn|drink drank drunk| drive drove driven|eat ate eaten|fall fell fallen|feed fed|feel
        felt|fight fought|find found|flee fled|fly flew flown| forbid forbade forbidden|forget forgot forgotten|freeze
        froze frozen|get got gotten|give gave given|go went gone goes| grow grew grown|hang hung|have has had|hear
        heard|hide hid hidden|hold held|keep kept|know knew known|lay laid| lead led|leave left|lend lent|lie
        lain|lose lost loss|make made|mean meant|meet met|pay paid|ride rode ridden|ring rang rung| rise rose
        risen|run ran|say said|see saw seen|seek sought|sell sold|send sent|shake shook shaken|shine shone|shoot shot|
        show shown|shrink shrank shrunk|sing sang sung|sink sank sunk|sit sat|sleep slept|speak spoke spoken|spend
        spent| spring sprang sprung|stand stood|steal stole stolen|stick stuck|strike struck|swear swore sworn|sweep
        swept|swim swam swum| take took taken|teach taught|tear tore torn|tell told|think thought|throw threw
        thrown|understand understood|wake woke woken| wear wore worn|overthrow overthrew overthrown|undergo underwent
        undergone|undertake undertook undertaken|overcome overcame|rebuild rebuilt|foresee foresaw foreseen|mislead
        misled|win won|write wrote written|withdraw withdrew withdrawn|man men|woman women|child children|person
        people| foot feet|tooth teeth|mouse mice|life lives|wife wives|half halves|leaf leaves|knife knives|good
        better best|bad worse worst| die dead death died dying|speech spoken|sale sold|choice chosen|flight
        fled|growth grown|belief believe|proof prove| defence defense defend|high height|long length|wide width|deep
        depth|strong strength|broad breadth|warm warmth|young youth| analysis analyses|basis bases|crisis
        crises|thesis theses""".replace("\n", " ").split("|")
    for form in line.split()[1:]
}
"""Forms that no stemmer leads back to their word."""

SAME = tuple(
    group.split("/")
    for group in """begin/start/commence end/finish/conclude/cease/stop/close locate/situate/lie/stand build/construct/erect
        big/large/huge/great/vast small/little/tiny approximate/about/around/roughly/circa/nearly/almost/some
        under/below/beneath over/above city/town king/monarch/ruler buy/purchase/acquire help/aid/assist/support
        use/employ/utilise/utilize show/demonstrate/reveal allow/permit/let/enable call/name/term/know/refer
        need/require/must destroy/raze/demolish/ruin leader/head/chief/command part/portion/section/share
        people/population/inhabitant/resident/person child/offspring/son/daughter die/perish kill/slay
        conflict/war/fight/battle job/work/task/role make/create/produce/form/manufacture get/obtain/receive/gain
        give/provide/grant/supply/offer/donate move/transfer/relocate ship/vessel/boat car/vehicle
        area/region/territory/district country/nation/state/land important/significant/major/key/crucial
        main/chief/principal/primary many/numerous/several/various also/too/additionally
        often/frequently/usually/commonly early/initial/first later/after/afterwards/subsequent
        eventual/ultimate/final happen/occur/take/place include/contain/comprise/consist/hold become/turn/grow
        agree/accept/consent belief/faith/religion money/fund/cash price/cost/fee law/rule/regulation/statute
        teach/educate/instruct student/pupil teacher/instructor method/way/technique/approach
        result/outcome/consequence/effect cause/lead/bring/trigger increase/rise/grow/climb/raise
        decrease/fall/drop/decline/reduce/shrink/lower fast/quick/rapid/speedy old/ancient/aged
        modern/contemporary/current/present live/reside/dwell/inhabit speak/talk/say/state/declare/claim
        write/author/pen/compose receive/get describe/depict/characterise think/believe/consider/regard
        see/view/perceive try/attempt/seek succeed/manage fail/unable/not win/defeat/beat/conquer/victory lose/defeat
        attack/invade/raid/assault siege/besiege protect/defend/guard rule/govern/control/reign decide/determine
        choose/select/pick/elect appoint/name/make marry/wed/marriage/wife/husband/spouse
        found/establish/set/create/institute oppose/resist/against enter/join/go leave/depart/exit/abandon
        arrive/come/reach travel/journey/go carry/transport/bear flow/run pass/go measure/size/extent height/tall/high
        length/long width/wide depth/deep weight/heavy/weigh cover/span/occupy/extend border/neighbour/adjoin
        near/close/beside/next/by centre/center/middle/heart side/bank/flank origin/source/root
        originate/come/stem/derive/descend ancestor/forebear descendant/offspring heir/successor
        replace/supplant/substitute/displace change/alter/modify/transform remain/stay/continue/last
        keep/retain/maintain/preserve only/sole/just full/complete/entire/whole difficult/hard easy/simple
        rich/wealthy poor/needy famous/known/renowned/noted/celebrated/famed forbid/ban/prohibit visitor/guest/tourist
        holiday/vacation lift/elevator petrol/gasoline film/movie shop/store autumn/fall annual/year/yearly daily/day
        weekly/week monthly/month trip/tour/journey/voyage house/home/building photograph/photo/picture/image
        soldier/troop/army/force/military/man fighter/warrior priest/cleric holy/sacred sell/sale
        rebel/revolt/uprising/insurrection treaty/agreement/pact/accord estimate/think/reckon
        study/research/investigate scholar/researcher/academic scientist/researcher prove/show/demonstrate
        fuel/energy/power water/steam liquid/fluid""".split()
)
"""Words that can stand for one another; the embedding model knows more of them, this list is sure."""

OPPOSITES = frozenset(
    frozenset(pair)
    for pair in [
        *ANTONYMS,
        *(
            pair.split("/")
            for pair in """begin/end begin/stop begin/cease begin/finish start/stop start/cease start/finish start/end begin/close
        open/close         open/shut win/lose rise/fall rise/drop rise/decline increase/decline increase/drop increase/reduce
        increase/fall grow/shrink raise/lower decrease/grow decrease/rise gain/lose rich/poor wet/dry hot/cold
        warm/cool heavy/light long/short tall/short wide/narrow deep/shallow thick/thin big/small large/small
        great/small large/little major/minor good/bad full/empty fast/slow quick/slow near/far before/after
        earlier/later early/late prior/after previous/next previous/following precede/follow ahead/behind above/below
        over/under more/fewer more/less most/few most/fewest many/few most/least highest/lowest maximum/minimum
        upper/lower top/bottom front/back left/right north/south east/west northern/southern eastern/western
        northeast/southwest northwest/southeast northwards/southwards upstream/downstream inside/outside
        internal/external import/export arrive/depart arrive/leave enter/leave join/leave come/go push/pull
        attack/defend attack/protect support/oppose accept/refuse accept/reject agree/refuse agree/disagree
        allow/prohibit allow/ban allow/prevent permit/forbid permit/prohibit permit/ban legal/illegal lawful/unlawful
        friend/enemy ally/enemy love/hate like/dislike remember/forget remain/leave include/exclude add/remove
        add/subtract create/destroy build/destroy construct/demolish appear/disappear success/failure succeed/fail
        victory/defeat always/never often/rarely often/seldom frequently/rarely common/rare common/uncommon
        usual/unusual usually/rarely possible/impossible able/unable likely/unlikely known/unknown similar/different
        same/different equal/unequal direct/indirect active/passive positive/negative public/private young/old new/old
        modern/ancient ancient/recent strong/weak hard/soft hard/easy simple/complex safe/dangerous military/civilian
        urban/rural native/foreign domestic/foreign local/foreign male/female man/woman boy/girl husband/wife
        brother/sister father/mother son/daughter uncle/aunt king/queen prince/princess duke/duchess buyer/seller
        lend/borrow buy/sell teach/learn send/receive give/receive employer/employee master/servant predator/prey
        cause/prevent encourage/discourage encourage/prevent approve/disapprove approve/reject connect/disconnect
        summer/winter spring/autumn day/night morning/evening dawn/dusk sunrise/sunset daily/weekly weekly/monthly
        monthly/yearly daily/monthly daily/yearly annual/monthly fewer/greater smaller/larger lower/higher
        shorter/longer slower/faster lower/greater worse/better least/greatest all/none every/no everyone/nobody
        everything/nothing both/neither must/may mandatory/optional compulsory/voluntary required/optional
        temporary/permanent partial/complete partly/entirely partially/fully majority/minority first/last
        initial/final sole/joint liquid/solid solid/gas liquid/gas acid/alkaline protestant/catholic christian/pagan
        victory/loss ascend/descend widen/narrow strengthen/weaken expand/contract expand/shrink lengthen/shorten
        heat/cool freeze/melt sink/float demand/supply profit/loss income/expense debit/credit offensive/defensive
        advance/retreat innate/adaptive innate/acquired optimistic/pessimistic valid/expired free/paid online/offline
            enable/disable install/uninstall encrypt/decrypt upload/download lock/unlock login/logout
            weekday/weekend nearest/furthest nearest/farthest closest/furthest closest/farthest
            stop/begin stop/resume stop/continue cease/continue
            cease/resume halt/resume halt/continue halt/start halt/begin pause/resume end/continue abandon/continue
            abandon/keep abandon/adopt collapse/thrive collapse/flourish collapse/rise collapse/emerge thrive/decline
            thrive/fail flourish/decline flourish/fail emerge/disappear establish/abolish
            establish/dissolve introduce/abolish create/abolish introduce/withdraw suspend/resume retain/abandon
            force/prevent jail/release imprison/release arrest/release hire/dismiss appoint/dismiss
            appoint/remove hide/reveal conceal/reveal expand/collapse""".split()
        ),
    ]
)
"""Word pairs of which the one can never stand for the other, however near an embedding model finds them."""

UNIVERSAL = frozenset(
    "all every each always entire entirely whole wholly everyone everybody everything everywhere completely".split()
)
PARTIAL = frozenset(
    """some several many few most partly partially sometimes often usually mostly mainly half majority minority almost
    nearly""".split()
)
"""Of how many something holds: a sentence that says "all" isn't supported by one that says "some"."""

NEGATORS = frozenset(
    """not no never none nobody nothing nowhere neither nor without cannot n't hardly scarcely barely unable fail failed
        fails failing lack lacks lacked lacking refuse refused refuses decline absent absence except excluding""".split()
)
DENYING = frozenset(
    """forbid forbids forbade forbidden ban bans banned prohibit prohibits prohibited embargo free deny denies denied prevent
        prevents prevented preventing stop stops stopped end ended ceased avoid avoids avoided fail fails failed lack
        lacks lacked refuse refuses refused reject rejects rejected oppose opposed exclude excludes excluded exempt
        unable impossible few little rarely seldom instead without against discourage discouraged discouraging short
        separate apart independent less lose lost missing""".split()
)
"""Words that say no without a "not"."""
SCOPE_ENDS = frozenset("""if whether that which who whom because when while than but although though since as where""".split())
"""Words at which the reach of a "not" ends."""
NEGATIVE_PREFIXES = ("un", "in", "im", "ir", "il", "dis", "non", "anti")
NOT_NEGATING = (
    r"\bnot only\b|\bnot just\b|\bno longer than\b|\bno (?:fewer|less|more) than\b|\bnot (?:less|more) than\b|\bno doubt\b|"
    r"\bwhether or not\b|\b(?:not|cannot|can't|n't)\b(?=[^.;]*\buntil\b)"
)
"""Where a "not" denies nothing."""

LIGHT_VERBS = frozenset(
    "get got go goes going went make makes made take takes took give gave called known named say said says term".split()
)
FUNCTION_WORDS = STOPWORDS - LIGHT_VERBS
"""Words that carry no fact by themselves; light verbs among the stop words may be what a sentence denies."""

BE = frozenset("be am is are was were been being get got gets".split())

BEFORE_VERBS = frozenset("""to can could will would may might must should did does do not who which that never also""".split())
AFTER_VERBS = frozenset("the a an to in on by for from with at as his her its their".split())
"""What often stands before a verb, and after one in the present tense."""
COMPASS = frozenset("north south east west above below behind before after".split())

TITLES = frozenset(
    """king queen prince princess duke duchess earl count baron lord lady sir emperor empress pope archbishop bishop saint st
        president minister chancellor governor general colonel captain admiral major lieutenant sergeant commander
        pm chief judge justice mr mrs ms dr prof professor doctor father mother brother sister university college school
        institute museum library church cathedral temple palace castle tower bridge street road avenue square park
        garden river lake sea ocean mount mountain valley island islands city town village county district province
        region state states republic empire kingdom duchy union party committee council parliament congress senate
        court ministry department office agency bank company corporation organisation organization association society
        army navy force forces battle war treaty act law article section chapter bill constitution revolution crisis
        movement campaign project system theory model effect century age era period dynasty world national
        international central north south east west northern southern eastern western upper lower new old great""".split()
)
"""Words written with a capital beside a name: left out or added, the name stays the same."""

DEMONYMS: dict[str, str] = {
    form: line.split()[0]
    for line in """franc french frenchman frenchmen france|england english englishman|britain british briton britons uk|
        spain spanish spaniard spaniards|poland polish pole poles|germany german germans|sweden swedish swede swedes|
        denmark danish
        dane danes| norway norwegian norwegians|netherlands dutch holland|switzerland swiss|turkey turkish turk
        turks|greece greek greeks| ireland irish irishman|scotland scottish scots scot|wales welsh|china chinese|japan
        japanese|portugal portuguese| finland finnish finn finns|iceland icelandic|wale welsh|italy italian
        italians|russia russian russians|europe european europeans|america american americans|asia asian|africa
        african|india indian indians|israel israeli|egypt egyptian| persia persian|mongolia mongol mongols
        mongolian|rome roman romans|vienna viennese|venice venetian venetians| prussia prussian|austria
        austrian|hungary hungarian|canada canadian|mexico mexican|normandy norman normans| byzantium byzantine
        byzantines|saxony saxon saxons|flanders flemish|iraq iraqi|iran iranian|saudi saudis| christianity christian
        christians|islam islamic muslim muslims islamist islamism|judaism jewish jew jews| catholicism catholic
        catholics|protestantism protestant protestants|huguenot huguenots|soviet soviets ussr|america us usa""".replace(
        "\n", " "
    ).split("|")
    for form in line.split()
}
"""A people, its language and its land, which a rewording exchanges freely."""

SYMMETRIC = frozenset(
    """marry wed meet border differ resemble between and or with equal share adjoin neighbour compare similar same both
    date engage relate connect link acquaintance friend partner colleague sibling cousin classmate roommate twin close""".split()
)
"""Words that say the same of either side, so that the sides may change places."""

_PASSAGE = r"(?:\w+ )?(?:passages?|documents?|sources?|texts?|context|notes?|handbook|guide|information)(?: \d+)?"
ATTRIBUTION = (
    rf"^(?:according to (?:the |these |this |your )?{_PASSAGE},?\s+|"
    rf"(?:the|these|this|your) {_PASSAGE} (?:states?|says?|said|notes?|mentions?|explains?|indicates?|shows?|describes?)"
    r"(?: that)?,?\s+|"
    rf"(?:based on|as stated in|as noted in|as described in) (?:the |these |this )?{_PASSAGE}(?: provided)?,?\s+|"
    r"(?:in (?:summary|short|other words|addition|fact)|overall|yes|no|so|thus|therefore|however|moreover|furthermore|"
    r"additionally|specifically|finally|for example|for instance)[,:]\s+)"
)
"""How an answer leads in to what it says; no passage says it."""

REPORTING = frozenset(
    """passage passages text texts document documents source sources guide handbook article author authors quote quotes
        quoted word words put puts say says said speak speaks state states stated mention mentions mentioned note
        notes noted call calls called describe describes described read reads write writes written wrote according
        explain explains own""".split()
)
"""Words with which an answer introduces what it quotes."""

PRONOUNS = frozenset(
    "he she it they him her them his hers its their theirs this these those such who which himself itself themselves".split()
)
"""Words that stand for something named before."""
