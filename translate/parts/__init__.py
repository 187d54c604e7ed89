"""Parts of messages and replies that not every protocol has.

openai_media     pictures and files as OpenAI gives them; pictures: what one is; reply_media: those of replies
citations        what a text cites; logprobs: how likely its words were
readable_parts   parts that every protocol has, in place of the conversation's own; readable: the words for them
foreign_parts    the same, of replies
"""
