"""Short requests from a grammar: verb phrases of everyday life and of software work in many frames, and the words of WordNet.

They are there so that every common word piece is met in short requests; the natural sentences are those of the other sources.
"""

import random
from collections import Counter
from collections.abc import Iterator

# A topic is `verbs : objects`; every verb of a topic fits every object of it. A verb may have a second part after `~`.
TOPICS = """
set,cancel,change,snooze,turn off,delete,move,add,check,show me,repeat : my alarm,the alarm for six,an alarm for tomorrow morning,the wake up call,the weekday alarm,a timer for ten minutes,the egg timer,the countdown,all alarms,the early alarm
play,stop,pause,skip,shuffle,repeat,turn up,turn down,queue,put on,download,save,like,find : some jazz,this song,the next track,my running playlist,the new album,classical music,something quieter,rock from the eighties,a podcast about history,the last episode,an audiobook,the radio,the news station,a hip hop mix,songs by my favourite singer,christmas carols,the soundtrack,white noise,a lullaby,that tune
turn on,turn off,dim,brighten,switch on,switch off,adjust,check,schedule,replace : the lights,the kitchen light,the bedroom lamp,the hallway lights,the porch light,the heating,the fan,the air conditioning,the television,the coffee machine,the vacuum cleaner,the robot vacuum,the oven,the dishwasher,the washing machine,the smart plug,the sprinkler,the garage door opener,the humidifier,the speaker
open,close,lock,unlock,lower,raise : the blinds,the curtains,the front door,the garage,the gate,the window,the shutters,the back door
make it,set it to,change it to,turn it to : warmer,cooler,brighter,darker,louder,quieter,blue,red,pink,a softer colour,twenty degrees,half volume,the maximum,night mode,mute,silent
schedule,cancel,postpone,move,book,arrange,check,confirm,add,remind me of,prepare,reschedule,accept,decline : the meeting with the boss,my dentist appointment,a lunch with mum,the birthday party,the weekly call,a haircut,the parents' evening,my next event,the interview,everything on friday,the conference,a doctor's visit,the team event,the book club,a date night,our anniversary dinner
remind me to,remember to : call grandma,pick up the kids,pay the rent,take my pills,water the plants,feed the cat,walk the dog,buy milk,take out the rubbish,renew my passport,do the laundry,clean the bathroom,charge the car,send the invoice,return the library books,iron a shirt,mow the lawn,change the sheets,brush my teeth,drink more water
add,remove,delete,put,cross out : eggs ~ my shopping list,bread ~ the grocery list,batteries ~ the list,a task ~ my to do list,tomatoes and onions ~ the list,washing powder ~ my list,a new entry ~ the packing list,paint ~ the hardware store list
create,make,start,open,read,show,clear,delete,share,print : a new list,the shopping list,my to do list,the guest list,a wish list,the packing list,my notes,a reminder,the checklist,a journal entry
write,send,read,forward,answer,delete,draft,archive,check,reply to,search for,flag : an email to my sister,my new emails,the last message,a mail to the landlord,the unread messages,the email from accounting,a text to dad,a reply to tom,my inbox,an out of office note,the mail about the contract,spam,a voice message,the newsletter
add,find,update,delete,look up,save : a contact,my brother's phone number,an email address,the address of the office,a new number,jenny's birthday,my boss's contact details
tell me,what is,give me,show,check,look up,do you know : the weather for tomorrow,the temperature outside,the forecast for the weekend,the chance of rain,the wind speed,the humidity,when the sun sets,the pollen count,how cold it gets tonight,the snow report,whether I need an umbrella,the time in tokyo,today's date,what day it is,the exchange rate,the dollar price,the stock price of that company,the football result,the headlines,the latest news,the traffic on my way to work,the population of brazil,the capital of peru,the square root of nine,the distance to the moon,the definition of irony,who wrote that book,how tall that actor is,a joke,something funny,a fun fact
book,order,cancel,find,compare,pay for,buy,check : a train ticket,a taxi,a flight to london,a hotel near the beach,a table for two,a rental car,a bus ticket,a ride to the airport,a window seat,a cheap flight,tickets for the concert,the cinema tickets,an airport shuttle,a room with breakfast,a ferry,travel insurance
order,cook,bake,make,heat up,find a recipe for,suggest,how long do I cook : a pizza,some sushi,chicken curry,pancakes,a chocolate cake,lasagna,vegetable soup,rice,pasta with tomato sauce,a roast,banana bread,an omelette,fried fish,a vegan burger,potato salad,cookies,steak,boiled eggs,a smoothie,tea
find,recommend,call,show me,navigate to,is there,how far is : a good restaurant nearby,the closest pharmacy,a petrol station,a chinese takeaway,a bar with live music,the nearest supermarket,a museum,the post office,a gym,a hair salon,a vet,a bakery,an atm,a car park,a playground,a shop that sells shoes,the city hall,events in town,a movie theatre,a farmers market
post,share,upload,delete,like,comment on,reply to,check : a tweet,a status update,my photo,the video,a complaint to the shop,my holiday pictures,a message on facebook,my profile,a story,the latest post of my friend
translate,spell,say,define,pronounce,explain,use in a sentence : hello in french,the word rhythm,good night in japanese,thank you in german,this paragraph,necessary,where is the station in spanish,this poem,an idiom,a proverb
calculate,convert,work out,estimate,round,add up,divide,multiply : fifteen percent of eighty,miles to kilometres,pounds to kilos,the tip,the monthly payment,these numbers,euros to dollars,cups to grams,the area of a circle,my body mass index,the average,the interest
play,start,join,quit,load,save : a game,chess with me,the quiz,twenty questions,solitaire,the last saved game,a word game,a multiplayer match,hangman,trivia
block,freeze,activate,replace,report,cancel,check,order,top up,unblock : my credit card,the stolen debit card,a new card,my lost wallet,the card that was swallowed,a virtual card,the contactless payment,my expired card
transfer,send,move,withdraw,deposit,receive,pay,refund,request : money,cash,fifty euros,the rent,my salary,a payment,the full amount,the deposit,a cheque,some savings,the bill,my share,an instalment
open,close,check,verify,unlock,update,delete,switch,log in to,register,secure : my account,a savings account,my balance,a joint account,the profile,my identity,the membership,my subscription,the online banking,a business account,my pin,the password,my phone number,the home address
dispute,cancel,explain,return,track,complain about,ask about,claim,lower : a charge I do not recognise,the extra fee,a duplicate payment,the wrong amount,my refund,a direct debit,the order,the delivery,a late parcel,a damaged item,the warranty,the invoice,my insurance,the exchange rate,the interest rate,a tax return,the pending transaction,the overdraft
apply for,get,compare,pay off,extend,renew,calculate : a loan,a mortgage,a credit card,car insurance,health insurance,a visa,a passport,a parking permit,a driving licence,a student discount,a pension,child benefit,a new phone contract,a higher limit
plan,organise,book,suggest,budget for : a trip to italy,my holiday,a weekend away,a hike,a wedding,a birthday party,a move to another city,a road trip,meals for the week,a workout,my study schedule,the renovation,a barbecue
treat,soothe,prevent,what helps against,explain,see a doctor about,worry about : a headache,back pain,a sore throat,a fever,a rash,allergies,insomnia,a sprained ankle,high blood pressure,a cough,anxiety,a burn,heartburn,the flu
fix,repair,clean,replace,install,assemble,paint,unclog,sell,buy,measure : the tap,the sink,my bike,the roof,a leaking pipe,the shelf,the washing machine,a wardrobe,the fence,the car tyre,a broken window,the toilet,the boiler,the floor,a door handle,my glasses,the engine,the battery
learn,teach me,practise,study,understand,revise,take a course in,get better at : spanish,the guitar,algebra,chess,photography,public speaking,swimming,history,chemistry,drawing,the piano,grammar,cooking,statistics,typing,knitting,economics,yoga
train,feed,adopt,groom,calm,walk,vaccinate : my dog,a kitten,the puppy,a rabbit,the horse,a parrot,the hamster,my old cat
plant,water,grow,prune,harvest,repot : tomatoes,roses,the hedge,an apple tree,basil,the houseplants,potatoes,an orchid,strawberries,the lawn
fix,debug,refactor,rewrite,review,optimise,test,explain,document,simplify,rename,port,deprecate,profile,speed up : this function,the failing test,the login page,our checkout code,a memory leak,the null pointer exception,a race condition,the parser,a flaky test,this class,the legacy module,the API client,the recursion,a regular expression,an off by one error,the build script,the cache layer,this python script,the react component,a rust crate,the java service,the go handler,the typescript types,a segfault,the error handling,the type error,the state machine,the search query,the import cycle,the websocket code,the file upload
write,generate,add,improve,review,translate,update,publish,proofread,summarise : unit tests,integration tests,end to end tests,the documentation,a readme,release notes,a changelog,API docs,a tutorial,docstrings,a design document,the user guide,a blog post,an architecture decision record,code comments,a product description,the privacy policy,a press release,a cover letter,a landing page,the onboarding guide,a technical specification,a runbook,an incident report
deploy,roll back,scale,monitor,restart,configure,provision,migrate,upgrade,containerise,automate,shut down,back up,restore : the web server,the kubernetes cluster,a docker container,the staging environment,our production database,the load balancer,the CI pipeline,a lambda function,the message queue,the redis cache,the terraform modules,an nginx proxy,the helm chart,a virtual machine,the backup job,the cron job,the log collector,the github action,an S3 bucket,the DNS records,the TLS certificate,the firewall rules,the edge nodes,the data centre network
design,create,build,prototype,improve,redesign,plan,test,ship : a mobile app,a landing page,a dashboard,a database schema,a REST API,a graphql schema,a user interface,an icon set,the onboarding flow,a design system,a logo,a microservice,a recommendation system,an event driven architecture,the navigation menu,a form with validation,a chat bot,a command line tool,a browser extension,a game level,an iOS app,an android widget,a multi agent system,a color palette,a checkout flow,a sign up form,a search engine
audit,scan,secure,harden,check,review,investigate,patch,encrypt,rotate,revoke : the authentication flow,our dependencies,the smart contract,user permissions,API keys,the access logs,a vulnerability,the password storage,an SQL injection,cross site scripting,the network traffic,a phishing mail,the compliance report,the data retention policy,the active directory groups,our cloud accounts,secrets in the repository,the session tokens,a security incident,the audit trail
train,evaluate,fine tune,deploy,compare,explain,tune,label data for,choose,benchmark : a machine learning model,a classifier,a neural network,a language model,the embedding model,a forecast of sales,a ranking model,an image recogniser,a recommender,a regression,a clustering algorithm,the prompt,a retrieval pipeline,a fraud detector,an A/B test
analyse,visualise,clean,export,import,query,merge,summarise,load,join,index,sample,plot : the sales data,a csv file,the survey results,customer feedback,the log files,an excel sheet,the warehouse tables,quarterly numbers,user behaviour,the time series,a pivot table,missing values,the slow SQL query,the data pipeline,a json file,the parquet files,web analytics,churn figures,the marketing funnel,financial statements,the postgres tables,a data set
commit,merge,rebase,revert,review,squash,cherry pick,push,open,close,label,assign : my changes,the pull request,this branch,the last commit,a merge conflict,the issue,the feature branch,a release tag,the hotfix,a bug report,the ticket
write,plan,research,track,launch,measure,improve,review,prepare,pitch : a marketing campaign,search engine rankings,a business plan,the competitors,a sales email,the project roadmap,our pricing,the product launch,the sprint,a job advert,the budget,user interviews,customer support replies,an investor deck,a social media strategy,the backlog,the quarterly goals,a legal contract,a grant application,a market report,a brand voice,a video script,a risk register,a content calendar,an interview guide
find,hire,onboard,review,promote,thank,train,pay,contact,fire : a developer,the new colleague,a freelancer,an accountant,a lawyer,the support team,a product manager,my manager,a translator,a plumber,an electrician,the landlord,a babysitter,a therapist,a tutor,the HR department
"""

FRAMES = """
{v}|{v}|{v}|{v}|please {v}|{v} please|can you {v}|can you {v}?|could you {v}|could you please {v}?|would you {v}|will you {v} for me|I want to {v}|i want you to {v}
I need to {v}|I'd like to {v}|how do I {v}|How do I {v}?|how can i {v}|how to {v}|what is the best way to {v}|what's the easiest way to {v}?|help me {v}|I need help to {v}|I can't {v}|I am not able to {v}
why can't i {v}?|is it possible to {v}?|can I {v} online|am i allowed to {v}|let's {v}|let us {v} now|don't {v}|I don't want to {v}|I tried to {v} but it failed|I forgot how to {v}
who can {v}|who can help me {v}?|what happens if I {v}|what does it cost to {v}|how long does it take to {v}|when can I {v}|where can i {v}|do I have to {v}?|should I {v}
i would love to {v}|it is time to {v}|you need to {v}|we have to {v} by friday|we need someone to {v}|our team wants to {v}|my boss asked me to {v}|show me how to {v}|teach me to {v}|what do I need to {v}
Use this agent when you need to {v}|Use this agent to {v}|use this when someone wants to {v}|for users who want to {v}|This assistant can {v}|Handles requests to {v}|This agent helps people {v}|an expert who can {v}
use it whenever you have to {v}|Ask this agent to {v} and {w}|it can {v}, {w} and more|use proactively to {v}|I have to {v} and then {w}|first {v}, then {w}|{v} and {w}|{v} or {w}|can you {v} and also {w}|please {v} before I {w}
hey {v}|ok {v}|now {v}|just {v}|{v} now|{v} again|{v} tomorrow|{v} today|{v} at five|{v} in the morning|{v} every day|{v} this weekend|{v} at noon|{v} tonight|{v} next week|{v} on monday|{v} in an hour
"""  # fmt: skip

NOUN_FRAMES = """
{n}|{n}?|the {n}|my {n}|what is {a}|what is the {n}|what's {a}?|what does {n} mean|tell me about {n}|tell me about the {n}|i need {a}|I want {a}|I'm looking for {a}|where can I find {a}|where is the {n}
how do I choose {a}|how much does {a} cost|do you have {a}|do you know {a}|show me the {n}|show me {n}|find {n}|find me {a}|look up {n}|search for {n}|buy {a}|order {a}|sell my {n}|fix the {n}|the {n} is broken
my {n} is not working|there is a problem with the {n}|something is wrong with my {n}|the {n} doesn't work anymore|I lost my {n}|I have a question about {n}|I have a question about the {n}|explain {n}|explain {n} to me
what do you think about {n}|what do you know about {n}|any news on {n}|news about {n}|who invented the {n}|who is the {n}|who was the {n}|is {n} good for you|is there {a} near me|is there a {n} nearby|I like {n}|i don't like {n}
i love {n}|I hate the {n}|remind me about the {n}|remind me of the {n} tomorrow|add {n} to my list|add {a} to the list|remove {n} from the list|delete the {n}|change the {n}|check the {n}|open the {n}|close the {n}|cancel the {n}
is the {n} ready|when is the {n}|when does the {n} start|how long does the {n} take|how many {n} are there|{n} and {m}|{n} or {m}|{n} versus {m}|the {n} of the {m}|difference between {n} and {m}|what is the difference between {a} and {b}
{n} with {m}|{a} for my {m}|write about {n}|write a report on {n} and {m}|design {a}|build {a}|create {a}|make {a}|analyse the {n}|review the {n}|improve the {n}|an expert in {n}|a specialist for {n} and {m}|{n} specialist
You are an expert in {n}|Use this agent for questions about {n}|answers questions on {n}, {m} and {o}|covers {n}, {m} and {o}|{n} help|help with {n}|help with my {n} please|advice on {n}|tips for {n}|{n} guide|a list of {n}|pictures of {n}
the best {n}|the nearest {n}|{a} recipe|{n} today|{n} tomorrow|{n} in the morning|more {n}|less {n}|no {n}|play {n}|read the {n}|send the {n}|send me the {n}|where did I put my {n}|can i have {a}|why is the {n} so expensive
"""  # fmt: skip

VERB_FRAMES = """
how do I {v} {a}|can you {v} the {n}|please {v} my {n}|{v} the {n}|{v} {a}|{v} {n}|{v} it|{v} this|I want to {v} {a}|I can't {v} the {n}|why does the {n} {v}|does {a} {v}|do not {v} the {n}|who can {v} the {n}
when should I {v} the {n}|is it safe to {v} {a}|what does it mean to {v}|how to {v}|to {v}|what is another word for {v}|I have to {v} the {n} today|they {v} the {n}|we {v} {n}|Use this agent to {v} {n}|it helps you {v} your {n}
"""  # fmt: skip

ADJECTIVE_FRAMES = """
{j} {n}|{a}|the {j} {n}|something {j}|it is too {j}|make it more {j}|is the {n} {j}|why is the {n} {j}|what does {j} mean|a very {j} {n}|how {j} is the {n}|I feel {j}|you are {j}|that was {j}|I want something {j}|find {a}
the opposite of {j}|is it {j}|not so {j}|my {n} looks {j}|the {n} seems {j} to me|show me {j} {n}|{d} {j}|{d}
"""  # fmt: skip


def frames(text: str) -> list[str]:
    """The frames of a block, which `|` and line ends divide."""
    return [frame for line in text.strip().splitlines() for frame in line.split("|")]


def with_article(noun: str) -> str:
    """The noun (or adjective and noun) after 'a' or 'an'."""
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def verb_phrases() -> list[str]:
    """Every verb of every topic with every object of it."""
    phrases = []
    for line in TOPICS.strip().splitlines():
        verbs, objects = line.split(" : ")
        for verb in verbs.split(","):
            to = "from" if verb in ("remove", "delete", "cross out") else "to"
            phrases += [f"{verb.strip()} {thing.replace('~', to)}".strip() for thing in objects.split(",")]
    return phrases


def by_frequency(counts: Counter[tuple[str, str]], kind: str) -> list[str]:
    """The words of a kind, the commonest first."""
    words = [word for (word_kind, word) in counts if word_kind == kind and word.isascii() and len(word) > 2]
    return sorted(words, key=lambda word: (-counts[kind, word], word))


def requests(counts: Counter[tuple[str, str]], generator: random.Random) -> Iterator[str]:
    """Requests without end: topics and, by WordNet's `counts` of (kind, word), common and less common words in turn."""
    phrases = verb_phrases()
    nouns, verbs = by_frequency(counts, "noun")[:9000], by_frequency(counts, "verb")[:4000]
    adjectives, adverbs = by_frequency(counts, "adj")[:4500], by_frequency(counts, "adv")[:1500]
    topic_frames, noun_frames = frames(FRAMES), frames(NOUN_FRAMES)
    verb_frames, adjective_frames = frames(VERB_FRAMES), frames(ADJECTIVE_FRAMES)

    def common(words: list[str]) -> str:
        """A word of the list, the ones at its head more often."""
        return words[int(len(words) * generator.random() ** 2)]

    for turn in range(10**9):
        frame = generator.choice(topic_frames)
        yield frame.format(v=generator.choice(phrases), w=generator.choice(phrases))
        noun = nouns[turn * 7 % len(nouns)] if turn % 2 else common(nouns)
        other, third, verb = common(nouns), common(nouns), verbs[turn * 3 % len(verbs)]
        adjective = adjectives[turn % len(adjectives)]
        words = {"n": noun, "m": other, "o": third, "a": with_article(noun), "b": with_article(other)}
        yield generator.choice(noun_frames).format(**words)
        if turn % 2:
            noun = common(nouns)
            yield generator.choice(verb_frames).format(v=verb, n=noun, a=with_article(noun))
        else:
            pair = with_article(f"{adjective} {other}")
            yield generator.choice(adjective_frames).format(j=adjective, n=other, a=pair, d=common(adverbs))
