"""Local Gainsight, Salesforce and HubSpot over HTTP(S), with made-up data, for the demo and for tests."""
