"""Keys that expire and are made anew: of commands, of Google's service accounts, of AWS.

minted  such a key, made anew in time; sources: which of the others makes it, by the settings
makers  command, google_account, aws (with aws_files)
asking  their small requests; signing: what AWS wants instead of a key
"""
